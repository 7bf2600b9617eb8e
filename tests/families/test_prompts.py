"""Our rows hold what each family's processor makes of the same prompt and images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset

from sightline.data.encoding.checks import check_rows
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import to_preference_columns
from sightline.engine.routes import plain_inputs
from sightline.errors import DataError
from sightline.models.families import FAMILIES
from sightline.training.sharing import prepared
from tests.families.case import picture, preference_rows
from tests.families.tiny_families import BUILDERS, WITHOUT_TEMPLATE, saved_family


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_model_says_of_our_rows_what_it_says_of_its_processors(name: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path)
    model.eval()
    rows = preference_rows(name)
    batch = SequenceEncoder(processor, EncodingSettings()).encode_preferences(rows)
    for index, row in enumerate(rows):
        text = row["prompt"]
        if not isinstance(text, str):
            text = processor.apply_chat_template(text, add_generation_prompt=True, tokenize=False)
        given = processor(images=[row["images"]], text=[text], return_tensors="pt", add_special_tokens=False)
        length = given["input_ids"].shape[1]
        sequence = batch.sequences[index]
        assert sequence.ids_L[:length].tolist() == given["input_ids"][0].tolist()
        assert int(sequence.scored_L.argmax()) == length
        facts = FAMILIES[model.config.model_type]
        ours = plain_inputs([sequence], batch.image_inputs, processor.tokenizer.pad_token_id, batch.counts, facts)
        del ours["labels"]
        given.pop("labels", None)
        with torch.no_grad():
            difference = model(**ours).logits[:, :length] - model(**given).logits
        assert float(difference.abs().max()) <= 1e-4


@pytest.mark.parametrize("name", ["blip-2", "cogvlm", "fuyu", "kosmos-2", "moondream2"])
def test_a_second_image_is_refused_where_a_prompt_takes_one(name: str, tmp_path: Path) -> None:
    _, processor = saved_family(name, tmp_path)
    row = {**preference_rows(name)[0], "images": [picture(0, 30, 30), picture(1, 30, 30)]}
    if name not in WITHOUT_TEMPLATE:
        row["prompt"][0]["content"].append({"type": "image"})
    with pytest.raises(DataError, match="takes one image a prompt"):
        SequenceEncoder(processor, EncodingSettings()).encode_preferences([row])


def test_prompt_and_answer_in_one_are_refused_where_the_processor_writes_between_them(tmp_path: Path) -> None:
    _, processor = saved_family("paligemma", tmp_path)
    row = preference_rows()[0]
    messages = {"images": row["images"], "messages": row["prompt"] + row["chosen"]}
    with pytest.raises(DataError, match="columns prompt and completion"):
        SequenceEncoder(processor, EncodingSettings()).encode_sft([messages])


def test_paligemmas_rows_are_its_processors_rows_with_a_suffix(tmp_path: Path) -> None:
    _, processor = saved_family("paligemma", tmp_path)
    row = preference_rows()[0]
    batch = SequenceEncoder(processor, EncodingSettings()).encode_preferences([row])
    text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
    answer = row["chosen"][0]["content"][0]["text"]
    given = processor(images=[row["images"]], text=[text], suffix=[answer], return_tensors="pt")
    ours = plain_inputs(batch.sequences[:1], batch.image_inputs, 0, batch.counts, FAMILIES["paligemma"])
    for name in ("input_ids", "token_type_ids", "labels", "pixel_values"):
        torch.testing.assert_close(ours[name], given[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fuyu", "llava_onevision", "molmo2", "paligemma"])
def test_the_check_before_training_knows_the_longest_row(name: str, tmp_path: Path) -> None:
    _, processor = saved_family(name, tmp_path)
    encoder = SequenceEncoder(processor, EncodingSettings())
    rows = preference_rows(name)
    dataset = prepared(Dataset.from_list(rows), to_preference_columns)
    longest = max(len(sequence.ids_L) for sequence in encoder.encode_preferences(rows).sequences)
    assert check_rows(dataset, "rows", encoder, preferences=True).longest == longest
