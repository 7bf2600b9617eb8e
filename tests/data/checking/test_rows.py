"""Rows that say nothing: `data check` calls those errors that training refuses, and no others, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.data.checking.check import Source, check_data
from sightline.data.encoding.checks import check_rows, check_words
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats import has_images, preference_rows, sft_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError
from tests.tiny import picture, tiny_processor

Row = dict[str, Any]


def user(content: Any) -> Row:
    return {"role": "user", "content": content}


def said(content: Any) -> Row:
    return {"role": "assistant", "content": content}


def text(words: str) -> Row:
    return {"type": "text", "text": words}


def llava(*values: str) -> list[Row]:
    return [{"from": who, "value": value} for who, value in zip(("human", "gpt") * 2, values, strict=False)]


IMAGE = {"type": "image"}
ASKED = [user("what is it ?")]
MARKED = [{"from": "human", "value": "<image>what ?"}]


def refused_rows(empty: str) -> dict[str, Row]:
    """Rows of every format that say nothing in a place where something is due."""
    return {
        "question, answer": {"question": "what ?", "answer": empty},
        "question, answers": {"question": "what ?", "answers": [empty]},
        "no answers": {"question": "what ?", "answers": []},
        "no question": {"question": empty, "answer": "red"},
        "caption": {"caption": empty},
        "captions": {"captions": [empty, empty]},
        "messages": {"messages": [*ASKED, said(empty)]},
        "messages of parts": {"messages": [user([IMAGE, text("what ?")]), said([text(empty)])]},
        "messages without parts": {"messages": [user([IMAGE, text("what ?")]), said([])]},
        "first of two turns": {"messages": [*ASKED, said(empty), *ASKED, said("red")]},
        "nobody answers": {"messages": ASKED},
        "prompt, completion": {"prompt": "what is it ?", "completion": empty},
        "no prompt": {"prompt": empty, "completion": "red"},
        "prompt, completion of messages": {"prompt": ASKED, "completion": [said(empty)]},
        "no completion": {"prompt": ASKED, "completion": []},
        "LLaVA": {"conversations": llava("<image>what ?", empty)},
        "LLaVA, second turn": {"conversations": llava("<image>what ?", "red", "what ?", empty)},
        "ShareGPT": {"conversations": [user("<image>what ?"), said(empty)]},
        "text": {"text": empty, "image": None},
        "text alone, messages": {"messages": [*ASKED, said(empty)], "image": None},
        "chosen": {"prompt": "what ?", "chosen": empty, "rejected": "red"},
        "rejected": {"prompt": "what ?", "chosen": "red", "rejected": empty},
        "no rejected": {"prompt": "what ?", "chosen": "red", "rejected": []},
        "no prompt, pair": {"prompt": empty, "chosen": "red", "rejected": "blue"},
        "chosen of messages": {"prompt": ASKED, "chosen": [said(empty)], "rejected": [said("red")]},
        "no rejected of messages": {"prompt": ASKED, "chosen": [said("red")], "rejected": []},
        "question, chosen": {"question": "what ?", "chosen": empty, "rejected": "red"},
        "LLaVA, chosen": {"conversations": MARKED, "chosen": {"value": empty, "from": "gpt"}, "rejected": "red"},
        "ms-swift": {"messages": [*ASKED, said(empty)], "rejected_response": "red"},
        "ms-swift, rejected": {"messages": [*ASKED, said("red")], "rejected_response": empty},
    }


def trained_rows(empty: str) -> dict[str, Row]:
    """Rows that say something wherever it is due: a picture alone is a prompt."""
    return {
        "image and answer": {"messages": [user([IMAGE]), said([text("red")])]},
        "image, blanks and answer": {"messages": [user([IMAGE, text(empty)]), said([text("red")])]},
        "prompt of an image": {"prompt": [user([IMAGE])], "completion": [said([text("red")])]},
        "LLaVA's mark alone": {"conversations": llava("<image>", "red")},
        "pair about an image": {
            "prompt": [user([IMAGE])], "chosen": [said([text("red")])], "rejected": [said([text("blue")])],
        },
        "one of two answers": {"question": "what ?", "answers": [empty, "red"]},
        "last question unanswered": {"messages": [*ASKED, said("red"), *ASKED]},
        "thoughts alone": {"messages": [*ASKED, {**said(empty), "reasoning_content": "it is red"}]},
        "text alone": {"text": "it is red", "image": None},
    }  # fmt: skip


def written(folder: Path, row: Row) -> Path:
    picture(0).save(folder / "a.png")
    row = {"image": "a.png", **row}
    file = folder / "rows.jsonl"
    file.write_text(json.dumps({column: value for column, value in row.items() if value is not None}) + "\n")
    return file


@pytest.fixture(scope="module")
def encoder() -> SequenceEncoder:
    return SequenceEncoder(tiny_processor(), EncodingSettings())


def is_refused(file: Path, row: Row, encoder: SequenceEncoder) -> bool:
    """Whether a training run refuses the rows at its start, which names the row then."""
    preferences = any("rejected" in column for column in row)
    try:
        rows = (preference_rows if preferences else sft_rows)(read_dataset(file), str(file)).dataset
        if has_images(rows):
            check_rows(rows, str(file), encoder, preferences)
        else:
            check_words(rows, str(file), preferences, "text")
    except DataError as error:
        assert str(error).startswith("rows.jsonl row 1: ")
        return True
    return False


def is_refused_in_a_stream(file: Path, row: Row, encoder: SequenceEncoder) -> bool:
    """Whether making a batch of the streamed rows refuses them."""
    preferences = any("rejected" in column for column in row)
    make = encoder.encode_preferences if preferences else encoder.encode_sft
    try:
        make(list((preference_rows if preferences else sft_rows)(stream_dataset(file), str(file)).dataset))
    except DataError:
        return True
    return False


@pytest.mark.parametrize("empty", ["", " \n"])
@pytest.mark.parametrize("name", refused_rows(""))
def test_a_row_that_says_nothing_is_refused_and_an_error_of_the_check(
    name: str, empty: str, encoder: SequenceEncoder, tmp_path: Path
) -> None:
    row = refused_rows(empty)[name]
    file = written(tmp_path, row)
    assert is_refused(file, row, encoder)
    assert row.get("image", "a.png") is None or is_refused_in_a_stream(file, row, encoder)
    assert not check_data(Source("rows.jsonl", read_dataset(file))).check.is_clean


@pytest.mark.parametrize("empty", ["", " \n"])
@pytest.mark.parametrize("name", trained_rows(""))
def test_a_row_that_says_something_trains_and_is_no_error_of_the_check(
    name: str, empty: str, encoder: SequenceEncoder, tmp_path: Path
) -> None:
    row = trained_rows(empty)[name]
    file = written(tmp_path, row)
    assert not is_refused(file, row, encoder)
    assert row.get("image", "a.png") is None or not is_refused_in_a_stream(file, row, encoder)
    assert check_data(Source("rows.jsonl", read_dataset(file))).check.is_clean
