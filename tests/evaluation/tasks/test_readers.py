"""Each benchmark's rows become the same items from the schema of its Hub dataset and of its TSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.errors import DataError
from sightline.evaluation.tasks.mmbench import rotation_of
from sightline.scoring.records import Item
from tests.evaluation.tasks.made import BLUE, RED, from_hub, from_tsv


def asked(item: Item) -> tuple[Any, ...]:
    """What a model is asked and what is right."""
    return item.question, item.options, item.answers, item.category, len(item.pictures)


CHOICE_TSV = {"index": 7, "image": RED, "question": "Which?", "A": "cat", "B": "dog", "answer": "B", "category": "c"}

# task, a row of the Hub dataset, a row of the TSV file, what both become
SCHEMAS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    (
        "mmmu_val",
        {
            "id": "validation_Art_Theory_3",
            "question": "Is <image 1> like <image 2>?",
            "options": "['cat', 'dog']",
            "explanation": "",
            "image_1": RED,
            "image_2": BLUE,
            "image_3": None,
            "img_type": "['Photo']",
            "answer": "B",
            "topic_difficulty": "Easy",
            "question_type": "multiple-choice",
            "subfield": "s",
        },
        {
            "index": 3,
            "question": "Is <image 1> like <image 2>?",
            "A": "cat",
            "B": "dog",
            "answer": "B",
            "category": "Art_Theory",
            "split": "validation",
            "image": "['{red}', '{blue}']",
        },
        ("Is <image 1> like <image 2>?", ("cat", "dog"), ("B",), "Art_Theory", 2),
    ),
    (
        "mmmu_val",
        {
            "id": "validation_Math_1",
            "question": "How many in <image 1>?",
            "options": "[]",
            "image_1": RED,
            "answer": "['24', '24.0']",
            "question_type": "open",
            "subfield": "s",
        },
        {
            "index": 4,
            "question": "How many in <image 1>?",
            "A": "",
            "B": "",
            "answer": "['24', '24.0']",
            "category": "Math",
            "split": "validation",
            "image": RED,
        },
        ("How many in <image 1>?", (), ("24", "24.0"), "Math", 1),
    ),
    (
        "mathvista_testmini",
        {
            "pid": "5",
            "question": "What fraction?",
            "image": "images/5.jpg",
            "decoded_image": RED,
            "choices": ["3/11", "8/11"],
            "unit": None,
            "precision": None,
            "answer": "8/11",
            "question_type": "multi_choice",
            "answer_type": "text",
            "query": "Hint: h\nQuestion: What fraction?",
            "metadata": {"task": "geometry", "source": "s", "skills": ["x"]},
        },
        {
            "index": 5,
            "image": RED,
            "answer": "8/11",
            "answer_option": "B",
            "choices": "['3/11', '8/11']",
            "question": "Hint: h\nQuestion: What fraction?\nChoices:\n(A) 3/11\n(B) 8/11",
            "question_type": "multi_choice",
            "answer_type": "text",
            "task": "geometry",
            "skills": "['x']",
        },
        ("What fraction?", ("3/11", "8/11"), ("B",), "geometry", 1),
    ),
    (
        "mathvista_testmini",
        {
            "pid": "6",
            "question": "How long?",
            "decoded_image": RED,
            "choices": None,
            "unit": "m",
            "precision": 1.0,
            "answer": "1.2",
            "question_type": "free_form",
            "answer_type": "float",
            "query": "q",
            "metadata": {"task": "geometry"},
        },
        {
            "index": 6,
            "image": RED,
            "answer": "1.2",
            "question": "Hint: h\nQuestion: How long? (Unit: m)",
            "question_type": "free_form",
            "answer_type": "float",
            "precision": "1.0",
            "task": "geometry",
        },
        ("How long?", (), ("1.2",), "geometry", 1),
    ),
    (
        "ai2d_masked",
        {"question": "Which?", "options": ["cat", "dog"], "answer": "1", "image": RED},
        CHOICE_TSV | {"category": ""},
        ("Which?", ("cat", "dog"), ("B",), "", 1),
    ),
    (
        "scienceqa_img",
        {
            "image": RED,
            "question": "Which?",
            "choices": ["cat", "dog"],
            "answer": 1,
            "hint": "h",
            "task": "t",
            "grade": "g",
            "subject": "c",
            "topic": "t",
            "category": "x",
            "skill": "s",
            "lecture": "",
            "solution": "",
        },
        CHOICE_TSV | {"hint": "h"},
        ("Which?", ("cat", "dog"), ("B",), "c", 1),
    ),
    (
        "ocrbench",
        {
            "dataset": "IIIT5K",
            "question": "What?",
            "question_type": "Regular Text Recognition",
            "answer": ["A", "a"],
            "image": RED,
        },
        {"index": 0, "image": RED, "question": "What?", "answer": "['A', 'a']", "category": "Regular Text Recognition"},
        ("What?", (), ("A", "a"), "Regular Text Recognition", 1),
    ),
    (
        "mme",
        {
            "question_id": "count/1.png",
            "question": "Two? Please answer yes or no.",
            "answer": "Yes",
            "category": "count",
            "image": RED,
        },
        {
            "index": 0,
            "image": RED,
            "image_path": "1.png",
            "question": "Two? Please answer yes or no.",
            "answer": "Yes",
            "category": "count",
        },
        ("Two? Please answer yes or no.", (), ("yes",), "count", 1),
    ),
    (
        "textvqa_val",
        {
            "image_id": "x",
            "question_id": 9,
            "question": "what?",
            "answers": ["a"] * 9 + ["b"],
            "ocr_tokens": ["T"],
            "image": RED,
        },
        {"index": 9, "image": RED, "question": "what?", "answer": str(["a"] * 9 + ["b"])},
        ("what?", (), ("a",) * 9 + ("b",), "", 1),
    ),
    (
        "docvqa_val",
        {
            "questionId": "9",
            "question": "what?",
            "question_types": ["figure"],
            "image": RED,
            "docId": 1,
            "answers": ["12 May", "12"],
        },
        {"index": 9, "image": RED, "question": "what?", "answer": "['12 May', '12']", "category": "figure"},
        ("what?", (), ("12 May", "12"), "figure", 1),
    ),
    (
        "coco_caption_vlmevalkit",
        {
            "question_id": "COCO_val2014_000000000042.jpg",
            "image": RED,
            "question": "Caption.",
            "answer": ["A cat.", "Cats."],
            "id": 1,
        },
        {"index": 42, "image": RED, "question": "Please describe.", "answer": "['A cat.', 'Cats.']"},
        ("", (), ("A cat.", "Cats."), "", 1),
    ),
]


@pytest.mark.parametrize(("task", "hub", "tsv", "expected"), SCHEMAS)
def test_both_schemas_give_the_same_item(
    tmp_path: Path, task: str, hub: dict[str, Any], tsv: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    if isinstance(tsv["image"], str):
        tsv = {**tsv, "image": _list_cell()}
    for item in (*from_hub(task, hub), *from_tsv(tmp_path, task, tsv).items):
        assert asked(item) == expected
        assert item.pictures[0].open().size == (4, 3)


def _list_cell() -> str:
    import base64

    return str([base64.b64encode(stored).decode() for stored in (RED, BLUE)])


def test_mathvista_facts_are_the_same_in_both_schemas(tmp_path: Path) -> None:
    _, hub, tsv, _ = SCHEMAS[3]
    facts = [
        item.facts
        for item in (*from_hub("mathvista_testmini", hub), *from_tsv(tmp_path, "mathvista_testmini", tsv).items)
    ]
    for name in ("question_type", "answer_type", "precision", "answer", "task"):
        assert facts[0][name] == facts[1][name], name
    assert facts[0]["precision"] == 1


MMBENCH = {
    "image": RED, "question": "Which?", "hint": "nan", "A": "cat", "B": "dog", "C": "nan", "D": "nan",
    "category": "c", "source": "s", "L2-category": "l", "comment": "nan", "split": "dev",
}  # fmt: skip


def test_mmbench_rotations_are_one_group_and_vanilla_takes_the_first(tmp_path: Path) -> None:
    hub = [
        MMBENCH | {"index": 101, "answer": "A"},
        MMBENCH | {"index": 1_000_101, "A": "dog", "B": "cat", "answer": "B"},
    ]
    renamed = {"L2-category": "l2-category"}
    tsv = [{renamed.get(name, name): "" if cell == "nan" else cell for name, cell in row.items()} for row in hub]
    tsv[1]["image"] = "101"
    for items in (from_hub("mmbench_dev_en", *hub), from_tsv(tmp_path, "mmbench_dev_en", *tsv).items):
        assert [item.options for item in items] == [("cat", "dog"), ("dog", "cat")]
        assert [(item.group, item.facts["rotation"]) for item in items] == [("101", 0), ("101", 1)]
        assert {item.facts["hint"] for item in items} == {""}
        assert {item.facts["l2-category"] for item in items} == {"l"}
        assert items[0].pictures[0].key == items[1].pictures[0].key
    assert [item.id for item in from_hub("mmbench_dev_en_vanilla", *hub)] == ["101"]


def test_groups_of_the_circular_index_are_vlmevalkits(shared: Path) -> None:
    import json

    cases = json.loads((shared / "conformance" / "vlmevalkit_circular.json").read_text())["cases"]
    rows = [(str(row["index"]), str(case["group"])) for case in cases for row in case["rows"]]
    assert len(rows) > 40
    assert [rotation_of(index)[0] for index, _ in rows] == [group for _, group in rows]


def test_an_option_called_nan_is_one_in_a_tsv_file(tmp_path: Path) -> None:
    row = {
        "index": 1,
        "image": RED,
        "question": "Which?",
        "hint": "",
        "A": "nan",
        "B": "None",
        "answer": "A",
        "category": "c",
    }
    assert from_tsv(tmp_path, "mmbench_dev_en", row).items[0].options == ("nan", "None")


def test_pope_has_one_item_per_sampling(tmp_path: Path) -> None:
    tsv = {
        "index": 4,
        "image": RED,
        "question": "Is there a dog? Please answer yes or no.",
        "answer": "Yes",
        "category": "random,popular",
    }
    items = from_tsv(tmp_path, "pope", tsv).items
    assert [(item.id, item.category, item.answers) for item in items] == [
        ("random-4", "random", ("yes",)),
        ("popular-4", "popular", ("yes",)),
    ]
    hub = {
        "question_id": "1",
        "question": "Is there a dog?",
        "answer": "no",
        "image_source": "x",
        "image": RED,
        "category": "random",
    }
    assert [item.id for item in from_hub("pope", hub, hub | {"category": "popular"})] == ["random-1", "popular-1"]


def test_mme_pairs_the_two_questions_of_a_picture() -> None:
    row = {"question_id": "count/1.png", "question": "Two?", "answer": "Yes", "category": "count", "image": RED}
    items = from_hub("mme", row, row | {"question": "Three?", "answer": "No"})
    assert len({item.id for item in items}) == 2
    assert {item.group for item in items} == {"count/1.png"}


def test_vqav2_keeps_what_each_person_said() -> None:
    said = [
        {"answer": "yes" if person < 7 else "no", "answer_confidence": "yes", "answer_id": person}
        for person in range(10)
    ]
    row = {
        "question_id": 1,
        "question": "Is it?",
        "question_type": "is it",
        "answers": said,
        "answer_type": "yes/no",
        "image": RED,
    }
    item = from_hub("vqav2_val", row)[0]
    assert item.answers == ("yes",) * 7 + ("no",) * 3
    assert item.category == "yes/no"


def test_flickr30k_takes_its_own_columns() -> None:
    item = from_hub(
        "flickr30k",
        {"image": RED, "caption": ["A cat.", "Cats."], "sentids": ["0"], "img_id": "17", "filename": "17.jpg"},
    )[0]
    assert (item.id, item.answers) == ("17", ("A cat.", "Cats."))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "4"}, "expected the answer to be the index of one of 2 options, from 0; got '4'"),
        ({"image": None}, "expected a picture in image, got none"),
        ({"question": ""}, "question is empty"),
    ],
)
def test_a_row_that_is_no_item_says_why(change: dict[str, Any], message: str) -> None:
    good = {"question": "Which?", "options": ["cat", "dog"], "answer": "1", "image": RED}
    with pytest.raises(DataError, match=f"made row 2: {message}"):
        from_hub("ai2d_masked", good, {**good, **change})


def test_rows_of_another_benchmark_are_refused_by_the_column_they_lack() -> None:
    row = {"question": "Which?", "options": ["cat", "dog"], "answer": "1", "image": RED}
    with pytest.raises(
        DataError, match="made row 1: expected the column index; found question, options, answer, image"
    ):
        from_hub("mmbench_dev_en", row)
