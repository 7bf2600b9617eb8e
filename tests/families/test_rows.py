"""Odd rows of every family are those that TRL 1.16 makes of them, token by token, pixel by pixel; so are refusals."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from sightline.data.encoding.processors import layout_of
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.errors import DataError
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.sharing import training_facts
from tests.families import tiny_families, tiny_layouts, tiny_ports
from tests.families.case import preference
from tests.families.odd_rows import TOKENIZERS, odd_row, tokenizer_maker
from tests.families.tiny_families import BUILDERS, WITHOUT_TEMPLATE, built_family

FAST_ROWS, MANY_ROWS = 3, 100
FORMS: tuple[tuple[str, dict[str, bool]], ...] = (
    ("sft", {"completion_only_loss": True}),
    ("sft", {"completion_only_loss": False}),
    ("messages", {}),
    ("messages", {"assistant_only_loss": True}),
    ("dpo", {}),
)


@pytest.mark.parametrize(("number", "name"), list(enumerate(sorted(BUILDERS))))
def test_a_few_odd_rows_are_trls(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare_rows(name, sorted(TOKENIZERS)[number % len(TOKENIZERS)], FAST_ROWS, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_many_odd_rows_are_trls(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare_rows(name, kind, MANY_ROWS, monkeypatch)


def test_newlines_around_an_image_merge_with_those_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = family_with("gemma3", "newlines", monkeypatch)[1]
    row = preference([tiny_picture()], "\nred ?\n", "\nred", "blue")
    row["prompt"][0]["content"].insert(0, {"type": "text", "text": "look \n"})
    ids_L = SequenceEncoder(processor, EncodingSettings()).encode_preferences([row]).sequences[0].ids_L
    words = processor.tokenizer.convert_ids_to_tokens(ids_L.tolist())
    first, last = words.index("<boi>"), words.index("<eoi>")
    assert words[first - 2 : first] == ["\n", "\n\n"] and words[last + 1] == "\n\n\n"


@pytest.mark.parametrize("name", ["gemma3", "molmo2"])
def test_a_text_that_spells_an_images_token_is_refused(name: str) -> None:
    processor = built_family(name)[1]
    word = {"gemma3": "<image>", "molmo2": "<im_patch>"}[name]
    row = preference([tiny_picture()], f"what is {word} ?", "red", "blue")
    with pytest.raises(DataError, match=f"the text holds '{word}', which stands for a part of an image"):
        SequenceEncoder(processor, EncodingSettings()).encode_preferences([row])


def tiny_picture() -> Any:
    return odd_row(0, "sft", plain=True)["images"][0]


def family_with(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    for module in (tiny_families, tiny_layouts, tiny_ports):
        monkeypatch.setattr(module, "tokenizer", tokenizer_maker(kind))
    return built_family(name)


def compare_rows(name: str, kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that TRL takes are equal in every tensor; of those that it refuses, none is made by us either."""
    model, processor = family_with(name, kind, monkeypatch)
    facts = training_facts(model, processor)
    plain = name in WITHOUT_TEMPLATE
    compared = 0
    for method, given in FORMS:
        if plain and method == "messages":
            continue
        ours, theirs = collators(processor, facts, method, given)
        for seed in range(rows):
            row = odd_row(seed, method, plain)
            if not takes(processor, method, row):
                continue
            expected, failure = attempt(theirs, row)
            found, refusal = attempt(ours, row)
            assert (expected is None) == (found is None), (method, given, seed, failure, refusal)
            if found is not None and expected is not None:
                assert not differences(found, expected), (method, given, seed, row)
                compared += 1
    assert compared >= rows


def collators(processor: Any, facts: Any, method: str, given: dict[str, Any]) -> tuple[Any, Any]:
    encoder = SequenceEncoder(processor, EncodingSettings(keeps_empty=True, **given))
    pad_id = processor.tokenizer.pad_token_id
    if layout_of(processor).prompts_alone and method != "messages":
        return prompts_of(encoder, method), processors_prompts(processor)
    if method == "dpo":
        return PreferenceCollator(encoder, pad_id, share=False, facts=facts), DataCollatorForVisionPreference(processor)
    theirs = DataCollatorForVisionLanguageModeling(processor, **given)
    return SFTCollator(encoder, pad_id, share=False, facts=facts), theirs


def takes(processor: Any, method: str, row: dict[str, Any]) -> bool:
    """Whether the family trains on such a row at all: some want prompt and answer apart, and an image."""
    layout = layout_of(processor)
    whole = method == "messages" and bool(layout.end or layout.image_in_front)
    return not whole and (bool(row["images"]) or not layout.end)


def prompts_of(encoder: SequenceEncoder, method: str) -> Any:
    """Of each row the ids up to its answer, and its images."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        encode = encoder.encode_preferences if method == "dpo" else encoder.encode_sft
        settings = encoder.settings
        encoder.settings = EncodingSettings(keeps_empty=True)
        batch = encode(rows)
        encoder.settings = settings
        sequence = batch.sequences[0]
        length = len(sequence.ids_L) - int(sequence.scored_L.sum())
        return {"input_ids": torch.from_numpy(sequence.ids_L[None, :length]), **batch.image_inputs}

    return collate


def processors_prompts(processor: Any) -> Any:
    """The same of the processor's own call, for those that TRL 1.16 cannot hand answers to."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        from trl.data_utils import apply_chat_template, prepare_multimodal_messages

        (row,) = rows
        text = row["prompt"]
        if not isinstance(text, str):
            answer = "completion" if "completion" in row else "chosen"
            columns = {"prompt": row["prompt"], "completion": row[answer]}
            if answer == "chosen":
                columns = {"prompt": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]}
            example = {
                column: prepare_multimodal_messages(value, images=row["images"] if column == "prompt" else None)
                for column, value in columns.items()
            }
            text = apply_chat_template(example, processor)["prompt"]
        images = [row["images"]] if row["images"] else None
        given = dict(processor(images=images, text=[text], return_tensors="pt", add_special_tokens=False))
        kept = {key: value for key, value in given.items() if "mask" not in key and "token_type" not in key}
        kept.pop("labels", None)
        return kept

    return collate


def attempt(collate: Any, row: dict[str, Any]) -> tuple[dict[str, Any] | None, Exception | None]:
    try:
        return dict(collate([copy.deepcopy(row)])), None
    except Exception as error:
        return None, error


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Names of tensors that differ where there is no padding."""
    renamed = {"image_patches": "pixel_values"}
    theirs = {renamed.get(name, name): value for name, value in theirs.items()}
    if set(ours) != set(theirs):
        return sorted(set(ours) ^ set(theirs))
    seen = theirs.get("attention_mask", torch.ones_like(theirs["input_ids"])).bool()
    return [name for name in ours if not equal(name, ours[name], theirs[name], seen)]


def equal(name: str, ours: torch.Tensor, theirs: torch.Tensor, seen: torch.Tensor) -> bool:
    if ours.shape == theirs.shape == seen.shape:
        return torch.equal(ours * seen, theirs * seen)
    if name.startswith("pixel") and ours.shape != theirs.shape:
        ours, theirs = (tiles(value) for value in (ours, theirs))  # Idefics3 has a row's tiles in its second axis
    return ours.shape == theirs.shape and torch.equal(ours, theirs)


def tiles(value: torch.Tensor) -> torch.Tensor:
    flat = value.flatten(0, 1)
    return flat[flat.flatten(1).ne(0).any(1)]
