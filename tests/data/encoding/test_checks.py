"""Problems of rows are told from the first row on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image as Stored, List
from PIL import Image

from sightline.data.encoding.checks import ReadRows, check_rows, describe, joined, read_rows, require_fitting
from sightline.data.encoding.fit import LENGTH_POLICIES, FittedRow, count_tokens
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import sft_rows
from sightline.data.pictures.columns import close_images
from sightline.data.sources.datasets import read_dataset
from sightline.errors import ConfigError, DataError, InputError, TooLongError
from tests.families.case import picture as sized_picture
from tests.families.tiny_families import qwen2_vl, saved_family
from tests.tiny import picture, tiny_processor


def test_the_first_bad_pictures_are_named_and_not_the_last(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_text("no picture")
    path = tmp_path / "rows.jsonl"
    rows = [{"image": f"{number}.png", "question": "what ?", "answer": "a"} for number in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    with pytest.raises(DataError) as caught:
        check_rows(sft_rows(read_dataset(path), str(path)).dataset, str(path), encoder, preferences=False)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:10]] == [f"rows.jsonl row {number}" for number in range(1, 11)]
    assert lines[10] == "... and 2 more rows."


@pytest.mark.parametrize("skip", [False, True])
def test_a_picture_of_a_size_that_the_processor_refuses_is_an_error_of_its_row(tmp_path: Path, skip: bool) -> None:
    for name, size in (("strip", (6000, 20)), ("square", (64, 64))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    path = tmp_path / "rows.jsonl"
    rows = [{"image": f"{name}.png", "question": "what ?", "answer": "a"} for name in ("square", "strip", "square")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = close_images(sft_rows(read_dataset(path), str(path)).dataset)
    encoder = SequenceEncoder(qwen2_vl()[1], EncodingSettings())
    message = (
        r"row 2.*: the processor takes no image of 6000 x 20 pixels: absolute aspect ratio must be smaller than 200"
    )
    if skip:
        found = check_rows(dataset, str(path), encoder, preferences=False, skip_bad_rows=True)
        assert list(found.problems) == [1] and re.search(message, found.problems[1])
        return
    with pytest.raises(DataError, match=message):
        check_rows(dataset, str(path), encoder, preferences=False)
    with pytest.raises(DataError, match=message):
        encoder.encode_sft(list(dataset))
    with pytest.raises(DataError, match=message):
        require_fitting(read_rows(dataset, str(path), encoder, preferences=False))


def test_what_is_wrong_with_the_model_is_no_error_of_its_rows(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"image": "a.png", "question": "what ?", "answer": "a"}) + "\n")
    dataset = close_images(sft_rows(read_dataset(path), str(path)).dataset)
    processor = qwen2_vl()[1]
    processor.tokenizer.pad_token = None
    encoder = SequenceEncoder(processor, EncodingSettings())
    with pytest.raises(InputError, match=r"^The model's tokenizer has no padding token"):
        check_rows(dataset, str(path), encoder, preferences=False, skip_bad_rows=True)
    with pytest.raises(InputError, match=r"^The model's tokenizer has no padding token"):
        encoder.encode_sft(list(dataset))


QUESTION = "one two three what is the colour of this circle ?"


def encoder(**given: Any) -> SequenceEncoder:
    return SequenceEncoder(tiny_processor(), EncodingSettings(**given))


def row(question: Any = QUESTION, answer: str = "red circle") -> dict[str, Any]:
    return {
        "images": [picture(0)],
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def words(encoder: SequenceEncoder, given: dict[str, Any], preferences: bool = False) -> list[str]:
    """The sequences of a row as words, without the image's."""
    batch = (encoder.encode_preferences if preferences else encoder.encode_sft)([given], names=["train.jsonl row 4"])
    tokenizer = tiny_processor().tokenizer
    return [
        " ".join(tokenizer.convert_ids_to_tokens(sequence.ids_L[sequence.feature_L < 0].tolist()))
        for sequence in batch.sequences
    ]


# <s> user : 16 image tokens, 11 words, assistant : red circle </s>
LENGTH = 3 + 16 + 11 + 2 + 3


class TestShorteningThePrompt:
    """Words go at the start of the oldest user turn; image, template and answer stay."""

    def test_as_many_words_go_as_are_too_many(self) -> None:
        assert words(encoder(), row()) == [f"<s> user : {QUESTION} assistant : red circle </s>"]
        shortened = words(encoder(max_length=LENGTH - 3, length_policy="shorten_prompt_text"), row())
        assert shortened == ["<s> user : what is the colour of this circle ? assistant : red circle </s>"]

    def test_the_result_is_the_rendering_of_the_shorter_text(self) -> None:
        short = row("what is the colour of this circle ?")
        fitted = encoder(max_length=LENGTH - 3, length_policy="shorten_prompt_text").encode_sft([row()]).sequences[0]
        alone = encoder().encode_sft([short]).sequences[0]
        assert fitted.ids_L.tolist() == alone.ids_L.tolist()
        assert fitted.scored_L.tolist() == alone.scored_L.tolist()

    def test_both_answers_keep_one_prompt(self) -> None:
        pair = {**row(), "chosen": row()["completion"], "rejected": [{"role": "assistant", "content": "a red one two"}]}
        limit = encoder(max_length=LENGTH - 2, length_policy="shorten_prompt_text")
        chosen, rejected = words(limit, pair, preferences=True)
        assert chosen == "<s> user : is the colour of this circle ? assistant : red circle </s>"
        assert rejected == "<s> user : is the colour of this circle ? assistant : a red one two </s>"

    def test_the_next_turn_gives_words_when_the_oldest_has_one_left(self) -> None:
        messages = [
            {"role": "user", "content": "one two three"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "how many circle ?"},
            {"role": "assistant", "content": "two"},
        ]
        whole = {"images": [picture(0)], "messages": messages}
        length = len(encoder().encode_sft([whole]).sequences[0].ids_L)
        shortened = words(encoder(max_length=length - 4, length_policy="shorten_prompt_text"), whole)
        assert shortened == ["<s> user : three assistant : yes </s> user : circle ? assistant : two </s>"]

    def test_a_row_whose_image_and_answer_are_too_long_does_not_fit(self) -> None:
        with pytest.raises(TooLongError, match=r"row 4: 35 tokens, but max_length is 20; 25 remain when the text of"):
            words(encoder(max_length=20, length_policy="shorten_prompt_text"), row())

    def test_a_plain_text_prompt_cannot_be_shortened(self) -> None:
        plain = {"images": [picture(0)], "prompt": f"<image> {QUESTION}", "completion": " red"}
        with pytest.raises(DataError, match="row 4: it is longer than max_length, and length_policy shorten_prompt_te"):
            words(encoder(max_length=20, length_policy="shorten_prompt_text"), plain)


def test_error_names_length_and_limit() -> None:
    with pytest.raises(TooLongError, match=f"train.jsonl row 4: {LENGTH} tokens, but max_length is 30. Raise"):
        words(encoder(max_length=30, length_policy="error"), row())


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="length_policy: expected one of truncate, drop, .* got 'cut'"):
        encoder(length_policy="cut")


@pytest.mark.parametrize("policy", LENGTH_POLICIES)
def test_a_row_that_fits_is_the_same_under_every_policy(policy: str) -> None:
    limited = encoder(max_length=LENGTH, length_policy=policy).encode_sft([row()]).sequences[0]
    assert limited.ids_L.tolist() == encoder().encode_sft([row()]).sequences[0].ids_L.tolist()


def read(rows: list[dict[str, Any]], **given: Any) -> ReadRows:
    dataset = Dataset.from_list(rows).cast_column("images", List(Stored(decode=False)))
    return require_fitting(read_rows(dataset, "train.jsonl", encoder(**given), preferences=False))


def ragged() -> list[dict[str, Any]]:
    """Rows of 35, 25, 45 and 35 tokens; of the third the answer has 13."""
    return [row(), row("red"), row(answer=" ".join(["red"] * 12)), row()]


class TestRowsOfADataset:
    """Which rows train, and what the user reads about the others."""

    def test_rows_are_dropped_counted_and_named(self) -> None:
        found = read(ragged(), max_length=40, length_policy="drop")
        assert tokens(found) == {0: 35, 1: 25, 3: 35} and (found.cut, found.longest) == (0, 45)
        assert describe(found, "train.jsonl") == (
            "train.jsonl: 3 of 4 rows fit max_length 40, 1 dropped (row 3); the longest has 45 tokens."
        )

    def test_rows_are_shortened_and_counted(self) -> None:
        found = read(ragged(), max_length=30, length_policy="shorten_prompt_text")
        assert tokens(found) == {0: 30, 1: 25, 3: 30} and (found.cut, found.longest) == (2, 45)
        shown = describe(found, "train.jsonl")
        assert "1 of 4 rows fit max_length 30, 2 with text of the prompt cut, 1 dropped (row 3)" in shown

    def test_rows_lose_the_end_of_their_answer_as_trls_do(self) -> None:
        found = read(ragged(), max_length=40)
        assert tokens(found) == {0: 35, 1: 25, 2: 40, 3: 35} and (found.cut, found.longest) == (1, 45)

    def test_a_cut_that_leaves_no_answer_is_refused_by_row(self) -> None:
        with pytest.raises(DataError, match="train.jsonl row 1: max_length 31 leaves no answer token to train on"):
            read(ragged(), max_length=31)

    def test_the_rows_that_are_refused_are_all_named(self) -> None:
        with pytest.raises(DataError, match=r"row 1: 35 tokens, but max_length is 20.*\n.*row 2[\s\S]*\n.*row 6: 35"):
            read([*ragged(), row(), row()], max_length=20, length_policy="error")

    def test_no_row_left_is_an_error_under_every_policy(self) -> None:
        with pytest.raises(DataError, match="row 1: 35 tokens, but max_length is 10"):
            read(ragged(), max_length=10, length_policy="drop")

    def test_some_of_the_rows_and_several_datasets_keep_what_was_found(self) -> None:
        found = read(ragged(), max_length=40, length_policy="drop")
        some, both = found.select([3, 2]), joined([found, found])
        assert tokens(some) == {0: 35} and list(some.too_long) == [1] and some.longest == 45
        assert tokens(both) == {0: 35, 1: 25, 3: 35, 4: 35, 5: 25, 7: 35} and sorted(both.too_long) == [2, 6]


def tokens(found: ReadRows) -> dict[int, int]:
    """Tokens of each row that trains."""
    return {index: int(found.counts_N["tokens"][index]) for index in found.kept}


def test_rows_of_a_dataset_without_images_are_read_too() -> None:
    text = Dataset.from_list([{key: row()[key] for key in ("prompt", "completion")}] * 3)
    found = read_rows(text, "test.jsonl", encoder(max_length=40), preferences=False)
    assert tokens(found) == dict.fromkeys(range(3), LENGTH - 16)


@pytest.mark.parametrize("name", ["smolvlm", "qwen2_5_vl", "gemma3", "llava_onevision", "paligemma"])
def test_counts_are_those_of_the_opened_images(name: str, tmp_path: Path) -> None:
    """Sizes alone tell how many tokens an image becomes: tiles, patches, or always as many."""
    _, processor = saved_family(name, tmp_path)
    sizes = [(60, 30), (30, 60), (36, 36), (64, 64), (200, 20)]
    rows = [{**row(), "images": [sized_picture(seed, *size)]} for seed, size in enumerate(sizes)]
    rows.append({**row([{"type": "image"}, {"type": "image"}, {"type": "text", "text": "how many ?"}])})
    rows[-1]["images"] = [sized_picture(7, 60, 30), sized_picture(8, 36, 36)]
    for settings in (EncodingSettings(), EncodingSettings(completion_only_loss=False)):
        family = SequenceEncoder(processor, settings)
        sequences = family.encode_sft(rows).sequences
        opened = [count_tokens(FittedRow((one,), len(one.ids_L))) for one in sequences]
        closed = Dataset.from_list(without_mixed_content(rows)).cast_column("images", List(Stored(decode=False)))
        found = read_rows(closed, "rows", family, preferences=False)
        assert [tuple(counts) for counts in found.counts_N.tolist()] == opened


def without_mixed_content(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with every prompt as parts, so that Arrow can hold them in one column."""
    changed = []
    for given in rows:
        content = given["prompt"][0]["content"]
        if isinstance(content, str):
            content = [{"type": "image"}] * len(given["images"]) + [{"type": "text", "text": content}]
        changed.append({**given, "prompt": [{"role": "user", "content": content}]})
    return changed
