"""Rows are TRL's: those that ours would not equal are left to TRL's collator and the processor, with the reason."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset

import sightline
import sightline.training
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.errors import ConfigError
from sightline.training import row_test
from sightline.training.collators import ProcessorCollator, SFTCollator
from tests.families import tiny_families
from tests.families.case import picture
from tests.families.odd_rows import tokenizer_maker
from tests.families.tiny_families import built_family
from tests.families.tiny_unlisted import UNLISTED, pixtral
from tests.tiny import SHORT_RUN, tiny_llava, tiny_processor

ON_PROMPTS = ("mllama", "dpo")  # its mask of a prompt alone fits no answer, so TRL 1.16 cannot train it
SIZES = ((48, 32), (32, 32), (32, 64), (40, 40))


def rows(form: str, counts: tuple[int, ...] = (1, 1, 2, 1)) -> list[dict[str, Any]]:
    made = []
    for number, count in enumerate(counts):
        question = [{"type": "image"}] * count + [{"type": "text", "text": "what is this ?"}]
        prompt = [{"role": "user", "content": question}]
        answer = [{"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]}]
        columns = {
            "messages": {"messages": prompt + answer},
            "sft": {"prompt": prompt, "completion": answer},
            "dpo": {
                "prompt": prompt,
                "chosen": answer,
                "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "blue"}]}],
            },
        }[form]
        images = [picture(number + one, *SIZES[(number + one) % 4]) for one in range(count)]
        made.append({"images": images, **columns})
    return made


def trainer_of(library: Any, parts: Any, form: str, folder: Path, made: list[dict[str, Any]], **given: Any) -> Any:
    method = "DPO" if form == "dpo" else "SFT"
    model, processor = parts
    args = getattr(library, f"{method}Config")(
        output_dir=str(folder / library.__name__),
        per_device_train_batch_size=2,
        max_steps=2,
        learning_rate=1e-3,
        train_sampling_strategy="sequential",
        **SHORT_RUN,
        **given,
    )
    reference = {"ref_model": copy.deepcopy(model)} if form == "dpo" else {}
    return getattr(library, f"{method}Trainer")(
        model=copy.deepcopy(model), args=args, train_dataset=Dataset.from_list(made), processing_class=processor,
        **reference,
    )  # fmt: skip


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


class TestFamiliesThatAreNotInTheTable:
    @pytest.mark.parametrize(
        ("name", "form"),
        [
            (name, form)
            for name in sorted(UNLISTED)
            for form in ("messages", "sft", "dpo")
            if (name, form) != ON_PROMPTS
        ],
    )
    def test_batches_are_those_of_trl(
        self, name: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        parts = UNLISTED[name]()
        stores = {"reference_store": "off", "image_margin_rows": 0} if form == "dpo" else {}
        ours = trainer_of(sightline, parts, form, tmp_path, rows(form), **stores)
        theirs = trainer_of(trl, parts, form, tmp_path, rows(form))
        assert "TRL's collator and the processor, since the family" in capsys.readouterr().err
        for mine, his in zip(ours.get_train_dataloader(), theirs.get_train_dataloader(), strict=True):
            assert set(mine) == set(his)
            for key, value in his.items():
                torch.testing.assert_close(mine[key], value, rtol=0, atol=0)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", sorted(UNLISTED))
    def test_losses_are_those_of_trl(self, name: str, tmp_path: Path) -> None:
        torch.manual_seed(0)
        parts = UNLISTED[name]()
        ours, theirs = (
            losses(trainer_of(one, parts, "messages", tmp_path, rows("messages"))) for one in (sightline, trl)
        )
        assert ours == pytest.approx(theirs, abs=1e-5)


class TestALlavaWithPixtralsTower:
    """Its processor gives sizes, without which a smaller picture's features are partly padding."""

    def test_shares_and_loses_as_trl_does(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        parts = pixtral()
        made = rows("sft", (1,) * 8)
        for number, size in enumerate([(32, 32)] * 4 + [(64, 32), (32, 64), (32, 32), (64, 64)]):
            made[number]["images"] = [picture(number, *size)]
        ours, theirs = (trainer_of(one, parts, "sft", tmp_path, made) for one in (sightline, trl))
        assert ours.route.route == "mask"
        assert losses(ours) == pytest.approx(losses(theirs), abs=1e-5)

    def test_is_plain_where_the_facts_do_not_know_what_the_processor_gives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = sightline.models.families.FAMILIES["llava"]
        blind = {**sightline.models.families.FAMILIES, "llava": replace(facts, image_inputs=("pixel_values",))}
        monkeypatch.setattr("sightline.models.families.FAMILIES", blind)
        trainer = trainer_of(sightline, pixtral(), "sft", tmp_path, rows("sft", (1, 1)))
        assert trainer.route.route == "plain"
        assert "the processor gives image_sizes, which the facts of llava do not know" in trainer.route.reason


class TestRowsThatOursWouldNotEqual:
    def test_are_made_by_trl_where_an_images_tokens_merge_with_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A placeholder that swallows the space in front of it is no place for tokens that do not."""
        monkeypatch.setattr(tiny_families, "tokenizer", tokenizer_maker("words", swallowing="<image>"))
        parts = built_family("lfm2_vl")
        ours = trainer_of(sightline, parts, "sft", tmp_path, rows("sft"))
        assert isinstance(ours.data_collator, ProcessorCollator)
        assert "its tokenizer may merge an image's tokens with the words beside them" in capsys.readouterr().err
        theirs = trainer_of(trl, parts, "sft", tmp_path, rows("sft"))
        assert losses(ours) == pytest.approx(losses(theirs), abs=1e-5)

    def test_are_found_wherever_they_stand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of forty rows one ends its question with a blank, and that one comes out otherwise."""
        right = SequenceEncoder._tokenize

        def wrong(self: SequenceEncoder, text: str, label: str) -> Any:
            ids_L = right(self, text, label)
            return ids_L[:-1] if "\n\n" in text else ids_L

        monkeypatch.setattr(SequenceEncoder, "_tokenize", wrong)
        made = rows("sft", (1,) * 40)
        made[29]["prompt"][0]["content"] = [{"type": "image"}, {"type": "text", "text": "what\n\nis this ?"}]
        parts = tiny_llava(), tiny_processor()
        trainer = trainer_of(sightline, parts, "sft", tmp_path, made)
        assert isinstance(trainer.data_collator, ProcessorCollator) and trainer.route.route == "plain"
        assert "are not what TRL and the processor make of it" in capsys.readouterr().err
        made[29] = made[28]
        trainer = trainer_of(sightline, parts, "sft", tmp_path, made)
        assert isinstance(trainer.data_collator, SFTCollator)

    def test_pixels_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        right = row_test._columns

        def darker(*given: Any) -> Any:
            columns = right(*given)
            return {**columns, "pixel_values": columns["pixel_values"] - 0.01}

        monkeypatch.setattr(row_test, "_columns", darker)
        parts = tiny_llava(), tiny_processor()
        trainer = trainer_of(sightline, parts, "dpo", tmp_path, rows("dpo"))
        assert "pixel_values of row" in trainer.route.reason
        with pytest.raises(ConfigError, match="share is set to mask, but rows are left to TRL's collator"):
            trainer_of(sightline, parts, "dpo", tmp_path, rows("dpo"), share="mask")


def test_a_text_beside_prompt_and_completion_is_not_what_trl_is_asked_for() -> None:
    row = {"images": [], "prompt": "what ?", "completion": " red", "text": "what ? blue"}
    (pair,) = row_test.opened_rows([row], ["row 1"], False)
    assert pair == {"images": [], "prompt": "what ?", "completion": " red"}
    assert row_test.opened_rows([{"images": [], "text": "what ? blue"}], ["row 1"], False)[0]["text"] == "what ? blue"


def test_chosen_rows_differ() -> None:
    made = rows("sft", (1,) * 60)
    for number in range(60):
        made[number]["images"] = [picture(0, 32, 32)]
    made[40] = rows("sft", (2,))[0]
    made[50]["images"] = [picture(0, 200, 20)]
    made[55]["prompt"].insert(0, {"role": "system", "content": [{"type": "text", "text": "look"}]})
    chosen = row_test.choose_rows(Dataset.from_list(made))
    assert {len(row["images"]) for row in chosen.compared} == {1, 2}
    assert (200, 20) in {image.size for row in chosen.compared for image in row["images"]}
    assert "system" in {turn["role"] for row in chosen.compared for turn in row["prompt"]}
    assert len(chosen.compared) <= row_test.COMPARED_ROWS


def test_tools_are_left_out_as_trl_leaves_them_out_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [{**row, "tools": '[{"type": "function", "function": {"name": "zoom"}}]'} for row in rows("dpo", (1, 1))]
    processor = tiny_processor()
    processor.chat_template = "{% if tools %}{{ 'large ' }}{% endif %}" + processor.chat_template
    parts = tiny_llava(), processor
    ours, theirs = (losses(trainer_of(one, parts, "dpo", tmp_path, made)) for one in (sightline, trl))
    assert ours == pytest.approx(theirs, abs=1e-5)
    said = "of train_dataset have them, and they are not rendered: TRL (1.16) gives them to no template"
    assert said in capsys.readouterr().err
