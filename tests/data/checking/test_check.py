"""A whole check: what is counted, which rows are named, and that each picture is decoded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from sightline.data.checking.check import DataCheck, Source, check_data
from sightline.data.checking.findings import KINDS, MAX_EXAMPLES
from sightline.data.checking.scan import PictureFacts, inspect_picture
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset
from tests.data.checking.trap_files import noise_picture

ASKED = [{"role": "user", "content": "what?"}]


def check(rows: list[dict[str, Any]]) -> DataCheck:
    return check_data(Source("rows.jsonl", Dataset.from_list(rows, on_mixed_types="use_json"))).check


def counts(found: DataCheck) -> dict[str, int]:
    """Cases by kind, but for the one of rows that are made here without pictures."""
    return {finding.kind: finding.count for finding in found.findings if finding.kind != "no_pictures"}


def cases(found: DataCheck, kind: str) -> list[tuple[str, str]]:
    return [(case.row, case.detail) for finding in found.findings if finding.kind == kind for case in finding.examples]


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_clean_rows_find_nothing():
    found = check([{"question": f"what is {n}?", "answer": str(n)} for n in range(30)])
    assert found.is_clean and counts(found) == {} and found.rows == 30 and found.scripts == {"Latin": 30}


def test_rows_none_of_which_has_a_picture_are_said_to_be_so():
    found = check([{"question": f"what is {n}?", "answer": str(n)} for n in range(30)])
    assert cases(found, "no_pictures") == [("", "columns question, answer")]
    assert next(finding for finding in found.findings if finding.kind == "no_pictures").severity == "warning"


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "video", "video": "a.mp4"}, {"type": "text", "text": "what?"}],
                    },
                    {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
                ]
            },
            "got a part of video",
        ),
        ({"messages": [*ASKED, {"role": "assistant", "content": "a"}], "rejected_images": []}, ""),
        ({"question": "what?", "answer": "a", "image": {"where": "a.png"}}, "got one with where"),
    ],
)
def test_what_training_refuses_is_not_clean(row, detail):
    found = check([row])
    assert found.is_clean != bool(detail)
    assert not detail or any(detail in told for _, told in [*cases(found, "refused"), *cases(found, "columns")])


def test_rows_are_counted_by_language():
    english = [{"question": f"What does the sign number {n} on the wall say?", "answer": str(n)} for n in range(3)]
    german = [{"question": "Was steht auf dem Schild an der Wand geschrieben?", "answer": "<image> Ausgang"}]
    found = check([*english, *german, {"question": "ok?", "answer": "ok"}])
    assert found.languages == {"en": 3, "de": 1, "too short to tell": 1}


@pytest.mark.parametrize(
    ("row", "kind", "detail"),
    [
        ({"prompt": ASKED, "completion": [{"role": "assistant", "content": " "}]}, "empty_answer", "to 'what?'"),
        ({"prompt": [{"role": "user", "content": ""}], "completion": "a"}, "empty_question", "a"),
        ({"prompt": "<image> and <image>?", "completion": "a"}, "placeholders", "2 placeholders, 0 pictures"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "roles", "assistant speaks first"),
        ({"prompt": "a?", "chosen": "same", "rejected": "same"}, "same_answers", "same"),
        ({"prompt": "a?", "chosen": "b", "rejected": ["c", "b"]}, "same_answers", "b"),
    ],
)
def test_each_fault_of_a_row_is_found(row, kind, detail):
    assert ("rows.jsonl row 1", detail) in cases(check([row]), kind)


def test_rows_are_compared_with_those_before():
    row = {"prompt": "a?", "chosen": "b", "rejected": "c"}
    found = check([row, row, {"prompt": "A", "chosen": "c", "rejected": "b"}])
    assert cases(found, "same_row") == [("rows.jsonl row 2", "as rows.jsonl row 1")]
    assert cases(found, "turned_preference") == [("rows.jsonl row 3", "against rows.jsonl row 1")]


def test_another_answer_about_the_same_picture_is_noted(tmp_path):
    for name in ("a", "b"):
        noise_picture(40, 40).save(tmp_path / f"{name}.png")
    noise_picture(40, 40, 1).save(tmp_path / "c.png")
    rows = [
        {"image": "a.png", "question": "what?", "answer": "a cat"},
        {"image": "b.png", "question": "What", "answer": "a dog"},  # the same pixels in another file
        {"image": "c.png", "question": "what?", "answer": "a dog"},
        {"image": "a.png", "question": "where?", "answer": "here"},
    ]
    source = write_rows(tmp_path, rows)
    found = check_data(Source(source, read_dataset(source))).check
    assert cases(found, "other_answer") == [("rows.jsonl row 2", "'What' is 'a dog' here, 'a cat' in rows.jsonl row 1")]
    assert cases(found, "same_picture") == [("rows.jsonl row 2", "like rows.jsonl row 1")]
    assert (found.pictures.stored, found.pictures.distinct, found.pictures.shown) == (3, 2, 4)


def test_a_missing_picture_is_a_finding_and_no_stop(tmp_path):
    noise_picture(40, 40).save(tmp_path / "a.png")
    names = ("a.png", "gone.png", "gone.png", "https://example.com/b.png")
    source = write_rows(tmp_path, [{"image": name, "text": "a"} for name in names])
    found = check_data(Source(source, read_dataset(source, pictures=PictureAccess(keep_missing=True)))).check
    assert counts(found)["missing"] == 1 and counts(found)["remote"] == 1
    assert cases(found, "missing")[0][0] == "rows.jsonl row 2"


def test_each_picture_is_decoded_once(tmp_path, monkeypatch):
    opened: list[Any] = []

    def counted(stored: Any, max_pixels: int) -> PictureFacts:
        opened.append(stored)
        return inspect_picture(stored, max_pixels)

    monkeypatch.setattr("sightline.data.checking.scan.inspect_picture", counted)
    for number in range(3):
        noise_picture(40, 40, number).save(tmp_path / f"{number}.png")
    rows = [{"image": f"{n % 3}.png", "question": f"what is {n}?", "answer": str(n)} for n in range(200)]
    source = write_rows(tmp_path, rows)
    check_data(Source(source, read_dataset(source)))
    assert sorted(opened) == [str(tmp_path / f"{number}.png") for number in range(3)]
    opened.clear()
    embedded = [{"bytes": (tmp_path / f"{n % 3}.png").read_bytes(), "path": None} for n in range(200)]
    check_data(Source("rows", Dataset.from_dict({"image": embedded, "text": ["a"] * 200})))
    assert len(opened) == 3


def test_length_bias_is_measured_and_noted_where_length_tells():
    """Chosen answers have 3 words, rejected ones 1: two words more in every pair."""
    rows = [{"prompt": f"{n}?", "chosen": f"{n} it is", "rejected": f"{n}"} for n in range(40)]
    found = check(rows)
    assert found.lengths is not None and found.lengths.longer_share is not None
    assert (found.lengths.pairs, found.lengths.extra_words.value, found.lengths.longer_share.value) == (40, 2.0, 1.0)
    assert counts(found)["length_bias"] == 40
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows[::2]]
    assert "length_bias" not in counts(check(rows[1::2] + turned))


def test_answers_are_counted_and_a_majority_is_noted():
    rows = [{"question": f"is it {n}?", "answer": "Yes" if n < 30 else "no"} for n in range(40)]
    found = check(rows)
    assert found.answers.frequent == (("yes", 30), ("no", 10)) and counts(found) == {"majority": 30}


@pytest.mark.parametrize("column", ["answer", "cells"])
def test_columns_that_training_cannot_read_are_an_error_and_nothing_is_made_of_their_words(column):
    found = check([{column: "a"}, {column: "a"}, {column: ""}])
    assert counts(found) == {"columns": 3} and found.rows == 3 and found.scripts == {}


def test_llavas_rows_are_all_checked_not_only_up_to_the_first_fault():
    def row(asked: str, said: str) -> dict[str, Any]:
        return {"conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]}

    found = check([row("<image>\nwhat?", "a"), row("what?", ""), row("why?", "b"), row("<image> who?", "c")])
    assert counts(found) == {"placeholders": 2, "empty_answer": 1}


def test_several_captions_of_one_row_are_no_contradiction(tmp_path):
    noise_picture(40, 40).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "captions": ["a cat", "a tom"]}, {"image": "a.png", "captions": ["an owl", "a bird"]}]
    source = write_rows(tmp_path, rows)
    found = check_data(Source(source, read_dataset(source))).check
    assert (found.rows, found.trained_rows) == (2, 4)
    assert {row for row, _ in cases(found, "other_answer")} == {"rows.jsonl row 2"}


def test_rows_are_counted_by_source():
    rows = [{"question": f"{n}?", "answer": "a", "source": "x" if n else "y"} for n in range(3)]
    assert check(rows).parts == {"x": 2, "y": 1}


def test_findings_keep_the_first_cases_and_the_worst_come_first():
    rows = [{"prompt": f"{n}?", "completion": "" if n else "a"} for n in range(100)]
    rows += [{"prompt": "", "completion": "b"}]
    found = check(rows)
    assert list(counts(found).items()) == [("refused", 1), ("empty_answer", 99), ("empty_question", 1)]
    assert len(found.findings[1].examples) == MAX_EXAMPLES and found.findings[1].share == 99 / 101


def test_every_kind_of_finding_says_what_to_do():
    assert all(kind.title and kind.advice.endswith(".") for kind in KINDS.values())
