"""Rows that say nothing: `data check` calls those errors that training refuses, and no others, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.data.checking.check import Source, check_data
from sightline.data.checking.rows import SHORT, language_of, plain_words, read_texts, script_of
from sightline.data.encoding.checks import check_rows, check_words
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.formats.converted import has_images
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


def told(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "row",
    [
        {"question": "what?", "answer": "a cat"},
        {"prompt": "what?", "completion": "a cat"},
        {"prompt": [told("user", "what?")], "completion": [told("assistant", "a cat")]},
        {"messages": [told("user", [{"type": "text", "text": "what?"}]), told("assistant", "a cat")]},
        {"conversations": [{"from": "human", "value": "what?"}, {"from": "gpt", "value": "a cat"}]},
    ],
)
def test_every_form_of_a_question_and_its_answer_reads_the_same(row):
    text = read_texts(row)
    assert (text.turns, text.marks, text.disorder) == ((("what?", "a cat"),), 0, "")


def test_each_turn_is_a_question_with_its_answer():
    turns = [told("system", "be kind"), told("user", "a?"), told("assistant", "b"), told("user", "c?")]
    text = read_texts({"messages": turns})
    assert text.turns == (("a?", "b"),), "the last question has no answer, and trains all the same"
    assert text.disorder == "user has the last word"


def test_answers_without_a_question_are_captions():
    assert read_texts({"captions": ["a dog", "a pup"]}).turns == ((None, "a dog"), (None, "a pup"))
    assert read_texts({"question": "what?", "answers": [{"answer": "yes"}, {"answer": "no"}]}).turns == (
        ("what?", "yes"),
        ("what?", "no"),
    )


def test_a_preference_holds_all_its_rejected_answers():
    text = read_texts({"prompt": "what?", "chosen": "a cat", "rejected": ["a dog", "an owl"]})
    assert text.turns == (("what?", "a cat"),) and text.rejected == ("a dog", "an owl")
    answers = {"chosen": [told("assistant", "a cat")], "rejected": [told("assistant", "x")]}
    spoken = read_texts({"prompt": [told("user", "what?")], **answers})
    assert spoken.turns == (("what?", "a cat"),) and spoken.rejected == ("x",)


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        ("<image>\nwhat?", 1),
        ("<image 1> and <image 2>", 2),
        ([{"type": "image"}, {"type": "image"}, {"type": "text", "text": "what?"}], 2),
        ([{"type": "image"}, {"type": "text", "text": "write <image>"}], 1),  # parts count, where there are some
        ("an <imagine>", 0),
    ],
)
def test_placeholders_are_parts_or_marks_in_the_text(content, marks):
    assert read_texts({"messages": [told("user", content), told("assistant", "a")]}).marks == marks


@pytest.mark.parametrize(
    ("roles", "disorder"),
    [
        ("user assistant", ""),
        ("system user assistant user assistant", ""),
        ("user assistant tool assistant", ""),
        ("assistant user assistant", "assistant speaks first"),
        ("user user assistant", "user speaks twice in a row"),
        ("user system assistant", "system is not first"),
        ("human assistant", "the role 'human'"),
        ("user assistant user", "user has the last word"),
    ],
)
def test_roles_take_turns(roles, disorder):
    assert read_texts({"messages": [told(role, "text") for role in roles.split()]}).disorder == disorder


def test_spellings_of_a_question_are_one():
    assert plain_words("<image>\nWhat's  THIS?") == plain_words("what s this") == "what s this"
    assert plain_words("?!") == "?!", "a text without words stays itself"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a red circle", "Latin"),
        ("Übergröße", "Latin"),
        ("красный круг", "Cyrillic"),
        ("一个红色的圆圈 OK", "Han"),
        ("赤い円です", "Japanese kana"),
        ("دائرة حمراء", "Arabic"),
        ("빨간 원", "Hangul"),
        ("12 + 3", "no letters"),
        ("ᚠᚢᚦ", "another script"),
    ],
)
def test_the_script_of_most_letters_counts(text, script):
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the man in the picture holding?", "en"),
        ("Was hält der Mann auf dem Bild in der Hand?", "de"),
        ("Qu'est-ce que l'homme tient à la main ?", "fr"),
        ("图片里的人手里拿着什么？", "zh"),
        ("画像の男性は何を持っていますか", "ja"),
        ("그림 속 남자는 무엇을 들고 있습니까", "ko"),
        ("Что держит в руке мужчина на этой картинке?", "ru"),
        ("triangle", SHORT),
        ("1 2 3", SHORT),
    ],
)
def test_the_language_of_a_text_is_told_from_a_few_words_on(text, language):
    assert language_of(text) == language
