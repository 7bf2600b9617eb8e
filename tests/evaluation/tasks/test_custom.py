"""Gold answers of one's own rows: read as what they are, or refused with what to write instead; never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.errors import DataError
from sightline.evaluation.items import Items
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Item
from tests.evaluation.tasks.made import RED, from_hub, from_tsv


def items_of(folder: Path, *rows: dict[str, Any], skip_bad_rows: bool = False) -> Items:
    """The items of rows without pictures in a file of one's own."""
    lines = (json.dumps({"question": "Which?", **row}) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text("".join(lines))
    return load_items(load_task("custom"), DataChoice(str(folder / "rows.jsonl"), skip_bad_rows=skip_bad_rows))


def item_of(folder: Path, row: dict[str, Any]) -> Item:
    return items_of(folder, row).items[0]


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (["Yes", "No"], True, "A"),
        (["Yes", "No"], False, "B"),
        (["False", "True"], True, "B"),
        (["no", "unclear", "yes"], [False], "A"),
        (["cat", "dog"], 1, "B"),
        (["cat", "dog"], 1.0, "B"),
        (["cat", "dog"], "dog", "B"),
        ([" cat", "dog "], "dog", "B"),
        (["cat", "dog"], "B", "B"),
        (["cat", "dog"], ["dog"], "B"),
        (["cat", "dog"], {"text": ["dog"]}, "B"),
        (["3", "1", "0", "7"], 7, "D"),
        ([2, 3, 4, 5], "4", "C"),
        ([1.5, 2.5], 2.5, "B"),
        ({"A": "cat", "B": "dog"}, "dog", "B"),
        ({"B": "dog", "A": "cat"}, "B", "B"),
        ({"label": ["A", "B"], "text": ["cat", "dog"]}, "B", "B"),
        ("['cat' 'dog']", "dog", "B"),
        ('["cat", "dog", null]', "dog", "B"),
        ('{"A": "cat", "B": "dog"}', "dog", "B"),
        (["cat", "dog", None, ""], "B", "B"),
    ],
)
def test_an_answer_means_one_option(tmp_path: Path, options: Any, answer: Any, letter: str) -> None:
    assert item_of(tmp_path, {"options": options, "answer": answer}).answers == (letter,)


@pytest.mark.parametrize("key", ["options", "choices"])
def test_options_by_letter_are_options_and_not_one_text(tmp_path: Path, key: str) -> None:
    items = items_of(
        tmp_path, {key: {"A": "cat", "B": "dog"}, "answer": "A"}, {key: {"A": "1", "B": "2", "C": "3"}, "answer": "C"}
    ).items
    assert [item.options for item in items] == [("cat", "dog"), ("1", "2", "3")]


@pytest.mark.parametrize(
    ("options", "answer", "message"),
    [
        (
            ["2", "3", "4", "5"],
            2,
            "the answer 2 is the index of option C, '4', and the text of option A. Write the let",
        ),
        (["a", "b"], True, "the answer true is a boolean, and the options are a, b"),
        (["yes", "true"], True, "the answer true is a boolean"),
        (["cat", "dog"], 2, "the index of one of 2 options, from 0, or the text of one; got 2"),
        (["cat", "dog"], -1, "the index of one of 2 options, from 0"),
        (["cat", "dog"], "C", "the answer 'C' is none of the options cat, dog, and none of the letters A, B"),
        (["cat", "dog"], 0.5, "the answer '0.5' is none of the options"),
        (["cat", "dog"], ["A", "B"], "expected one answer in answer, as the row has options; got 2: A, B"),
        (["cat", "cat"], "cat", "the answer 'cat' is the text of the options A and B. Options must differ"),
        (["cat", "dog"], {"box": 1}, "expected an answer in answer, got {'box': 1}"),
        (["cat", None, "dog"], "dog", "option 2 of 3 in options is empty"),
        ('["cat", null, "dog"]', "A", "option 2 of 3 in options is empty"),
        ("cat, dog", "cat", "expected a list in options, got 'cat, dog'"),
        ("['cat' 'dog', 'cow']", "A", "expected a list in options"),
        (["cat"], "A", "one option, 'cat', leaves no choice"),
        ({"first": "cat", "second": "dog"}, "cat", "by the letters A, B, ..., got first, second"),
        ([["cat"], ["dog"]], "A", r"expected texts in options, got \['cat'\]"),
        ([f"word {place}" for place in range(27)], "word 26", "27 options in options, but letters go to Z"),
        (["cat", "dog"], float("nan"), "the column answer is empty"),
        (["cat", "dog"], [None], "the column answer is empty"),
    ],
)
def test_an_answer_that_means_none_or_two_is_refused(tmp_path: Path, options: Any, answer: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"rows.jsonl row 1: .*{message}"):
        item_of(tmp_path, {"options": options, "answer": answer})


@pytest.mark.parametrize(
    ("columns", "answer", "named"),
    [
        ({"candidates": ["cat", "dog"]}, "B", "candidates"),
        ({"answer_choices": "['cat', 'dog']"}, "a", "answer_choices"),
        ({"multiple_choices": ["cat", "dog"]}, 1, "multiple_choices"),
        ({"choice_a": "cat", "choice_b": "dog"}, "A", "choice_a, choice_b"),
        ({"Option A": "cat", "Option B": "dog"}, "B", "Option A, Option B"),
        ({"option1": "cat", "option2": "dog"}, "2", "option1, option2"),
        ({"a": "cat", "b": "dog"}, "b", "a, b"),
    ],
)
def test_options_under_other_names_are_never_left_unasked(
    tmp_path: Path, columns: dict[str, Any], answer: Any, named: str
) -> None:
    with pytest.raises(DataError, match=f"row 1: the answer '.' seems to pick one of the options in {named}, and opt"):
        item_of(tmp_path, {**columns, "answer": answer})


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ({"candidates": ["cat", "dog"]}, "cat"),
        ({"candidates": ["2", "3"]}, 3),
        ({"candidates": None, "choice_a": "", "choice_b": None}, "B"),
        ({"a": "cat"}, "a"),
        ({"option1": "2", "option2": "3"}, 2),
    ],
)
def test_an_answer_that_is_a_text_of_its_own_is_asked_openly(
    tmp_path: Path, columns: dict[str, Any], answer: Any
) -> None:
    assert item_of(tmp_path, {**columns, "answer": answer}).answers == (str(answer),)


@pytest.mark.parametrize("labels", ["A. {}", "A) {}", "(A) {}", "A: {}"])
def test_options_that_bear_their_letters_are_shown_without(tmp_path: Path, labels: str) -> None:
    options = [
        labels.replace("A", letter).format(text) for letter, text in zip("ABC", ("cat", "dog", "cow"), strict=True)
    ]
    for answer in ("dog", options[1], [options[1]], "B", 1):
        item = item_of(tmp_path, {"options": options, "answer": answer})
        assert (item.options, item.answers) == (("cat", "dog", "cow"), ("B",))


def test_options_that_bear_letters_in_another_order_are_refused(tmp_path: Path) -> None:
    """The letter of the answer would be that of another option."""
    with pytest.raises(DataError, match="row 1: the options bear the letters B, A, and stand in another order"):
        item_of(tmp_path, {"options": ["B. dog", "A. cat"], "answer": "B"})


@pytest.mark.parametrize("options", [("A. Lincoln", "G. Washington"), ("A. cat", "dog"), ("A.", "B.")])
def test_other_options_stay_as_they_are(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert item_of(tmp_path, {"options": options, "answer": options[0]}).options == options


@pytest.mark.parametrize("question", ["![](red.png) What?", "What is in <img src='a/red.png' width=3>?"])
def test_a_picture_that_only_the_words_of_a_question_name_is_refused(tmp_path: Path, question: str) -> None:
    with pytest.raises(DataError, match="row 1: the question shows the picture '.*red.png' by .* in a column image"):
        item_of(tmp_path, {"question": question, "answer": "cat"})


@pytest.mark.parametrize("question", [["What?"], [{"type": "text", "text": "What?"}], {"text": "What?"}])
def test_a_question_that_is_no_text_is_refused(tmp_path: Path, question: Any) -> None:
    with pytest.raises(DataError, match=r"row 1: expected a text in question, got [\[{]"):
        item_of(tmp_path, {"question": question, "answer": "cat"})


def test_numbers_are_indices_or_texts_in_a_whole_dataset(tmp_path: Path) -> None:
    """Three rows alone would be read, two of them by another rule than the third."""
    by_index = {"options": ["cat", "dog"], "answer": 1}
    by_text = {"options": ["10", "20"], "answer": 20}
    with pytest.raises(DataError, match=r"row 3: the answer is a number that only the text .* rows.jsonl row 1 is the"):
        items_of(tmp_path, by_index, by_index, by_text)
    items = items_of(tmp_path, by_text, {"options": ["1", "0"], "answer": "0"}).items
    assert [item.answers for item in items] == [("B",), ("B",)]


@pytest.mark.parametrize(
    ("row", "golds"),
    [
        ({"answer": 3.0}, ("3",)),
        ({"answer": 3.25}, ("3.25",)),
        ({"answer": True}, ("yes",)),
        ({"answer": False}, ("no",)),
        ({"answers": [None, "circle"]}, ("circle",)),
        ({"answers": [{"answer": "cat"}, {"answer": "a cat"}]}, ("cat", "a cat")),
        ({"answers": {"text": ["cat"], "answer_start": [3]}}, ("cat",)),
        ({"answer": ["cat", "a cat"]}, ("cat", "a cat")),
        ({"answer": '["cat", "a cat"]'}, ("cat", "a cat")),
        ({"answers": "['cat' 'a cat']"}, ("cat", "a cat")),
        ({"answer": "[10, 20, 30, 40]"}, ("[10, 20, 30, 40]",)),
        ({"answers": "[10, 20]"}, ("10", "20")),
        ({"answer": "[1, 2)"}, ("[1, 2)",)),
        ({"answers": [], "answer": "cat"}, ("cat",)),
        ({"answers": [None], "answer": "cat"}, ("cat",)),
    ],
)
def test_open_answers_are_what_people_would_write(tmp_path: Path, row: dict[str, Any], golds: tuple[str, ...]) -> None:
    assert item_of(tmp_path, row).answers == golds


@pytest.mark.parametrize("answer", [None, "", " ", [], float("nan"), [None, ""]])
def test_a_row_without_an_answer_is_refused(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(DataError, match="row 1: expected the gold answer in the column answer .*is empty"):
        item_of(tmp_path, {"answer": answer})


@pytest.mark.parametrize("column", ["answer", "answers"])
def test_the_gold_of_a_class_label_is_the_name_of_the_class(tmp_path: Path, column: str) -> None:
    feature: Any = datasets.ClassLabel(names=["cat", "dog"])
    cells: list[Any] = [1, 0]
    if column == "answers":
        feature, cells = datasets.List(feature), [[1], [0, 1]]
    rows = datasets.Dataset.from_dict({"question": ["?", "?"], column: cells}).cast_column(column, feature)
    rows.save_to_disk(str(tmp_path / "classes"))
    items = load_items(load_task("custom"), DataChoice(str(tmp_path / "classes"))).items
    assert [item.answers for item in items] == (
        [("dog",), ("cat",)] if column == "answer" else [("dog",), ("cat", "dog")]
    )


def test_an_unknown_class_is_no_answer(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"question": ["?"], "answer": [-1]})
    rows.cast_column("answer", datasets.ClassLabel(names=["cat"])).save_to_disk(str(tmp_path / "classes"))
    with pytest.raises(DataError, match="the column answer is empty"):
        load_items(load_task("custom"), DataChoice(str(tmp_path / "classes")))


@pytest.mark.parametrize("task", ["pope", "mme"])
def test_a_gold_answer_that_no_scorer_knows_is_refused(tmp_path: Path, task: str) -> None:
    row = {"index": 1, "question": "Is it?", "category": "count", "image": RED, "image_path": "1.png"}
    with pytest.raises(DataError, match="expected the answer to be yes or no, got 'true'. No answer would be right"):
        from_tsv(tmp_path, task, {**row, "answer": "True"})


@pytest.mark.parametrize(("task", "row"), [
    ("ai2d_masked", {"question": "Which?", "options": ["cat", "dog"], "image": RED}),
    ("scienceqa_img", {"question": "Which?", "choices": ["cat", "dog"], "image": RED}),
])  # fmt: skip
@pytest.mark.parametrize(("answer", "letter"), [(1.0, "B"), ("1", "B"), (0, "A")])
def test_an_index_that_pandas_made_a_float_is_one(task: str, row: dict[str, Any], answer: Any, letter: str) -> None:
    assert from_hub(task, {**row, "answer": answer})[0].answers == (letter,)


@pytest.mark.parametrize("answer", [0.5, True, -1.0])
def test_what_is_no_index_is_refused(answer: Any) -> None:
    row = {"question": "Which?", "options": ["cat", "dog"], "image": RED, "answer": answer}
    with pytest.raises(DataError, match="expected the answer to be the index of one of 2 options, from 0"):
        from_hub("ai2d_masked", row)


def test_statements_may_have_booleans_as_answers() -> None:
    row = {"id": "1", "question": "It is red.", "image": RED, "answer": False}
    assert from_hub("nlvr_v1", row)[0].answers == ("B",)
    row |= {"prompt": "True or False?", "question_type": "true_false"}
    assert from_hub("visonlyqa_real", row)[0].answers == ("False",)
