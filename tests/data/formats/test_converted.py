"""Rows that a format cannot read are told together, by file and row, or left out and counted where that is wished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.sources.bad_rows import OFFER, SHOWN_ROWS
from sightline.data.sources.datasets import read_dataset
from sightline.data.tables import table_of
from sightline.errors import DataError

ROWS = 2 * SHOWN_ROWS
ANSWER = [{"role": "assistant", "content": "red"}]


def talk(role: str) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": "what ?"}, {"from": role, "value": "red"}]}


def ranking(role: str) -> dict[str, Any]:
    asks = "human" if role == "gpt" else role
    pair = {"chosen": {"from": "gpt", "value": "red"}, "rejected": {"from": "gpt", "value": "blue"}}
    return {"conversations": [{"from": asks, "value": "what ?"}], **pair}


def said_by_nobody(role: str) -> dict[str, Any]:
    asked = {"content": "what ?", **({"role": "user"} if role == "gpt" else {})}
    return {"messages": [asked, {"role": "assistant", "content": "red"}]}


def marked(role: str) -> dict[str, Any]:
    mark = "" if role == "gpt" else "<image>"
    return {"prompt": [{"role": "user", "content": f"{mark}what ?"}], "completion": ANSWER}


def answered_by_nobody(role: str) -> dict[str, Any]:
    answer = [{"content": "blue", **({"role": "assistant"} if role == "gpt" else {})}]
    return {"prompt": [{"role": "user", "content": "what ?"}], "chosen": ANSWER, "rejected": answer}


MADE = {
    "sft": (sft_rows, talk),
    "dpo": (preference_rows, ranking),
    "TRL messages": (sft_rows, said_by_nobody),
    "TRL completions": (sft_rows, marked),
    "TRL preferences": (preference_rows, answered_by_nobody),
}


def read(folder: Path, make: Any, bad: int) -> Any:
    path = folder / "rows.jsonl"
    rows = [make("bot" if 0 < number <= bad else "gpt") for number in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_dataset(path)


@pytest.mark.parametrize(("convert", "make"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("bad", [1, 3, SHOWN_ROWS + 2])
def test_rows_that_a_format_cannot_read_are_listed_from_the_first(
    convert: Any, make: Any, bad: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as refused:
        convert(read(tmp_path, make, bad), "rows.jsonl", skip_bad_rows=False)
    said = str(refused.value).splitlines()
    assert said[0].startswith("rows.jsonl row 2: ") and said[-1].endswith(OFFER)
    assert len(said) == min(bad, SHOWN_ROWS) + (bad > SHOWN_ROWS)
    if bad > SHOWN_ROWS:
        assert said[-1].startswith("... and 2 more rows.")


@pytest.mark.parametrize(("convert", "make"), MADE.values(), ids=MADE)
def test_such_rows_are_left_out_and_listed_each_time(convert: Any, make: Any, tmp_path: Path) -> None:
    for _ in range(2):
        rows = convert(read(tmp_path, make, 3), "rows.jsonl", skip_bad_rows=True)
        assert len(rows.dataset) == ROWS - 3 and list(rows.origins)[:3] == [0, 4, 5] and rows.left_out == 0
        assert list(rows.bad) == [1, 2, 3] and rows.bad[1].startswith("rows.jsonl row 2: ")


@pytest.mark.parametrize(("convert", "make"), MADE.values(), ids=MADE)
def test_nothing_but_such_rows_is_an_error_even_where_they_are_left_out(
    convert: Any, make: Any, tmp_path: Path
) -> None:
    dataset = read(tmp_path, make, 3).select([1, 2, 3])
    with pytest.raises(
        DataError, match=r"(None of 3 rows can be used. The first: )?rows.jsonl row 1: (.*\n){2}.* row 3"
    ):
        convert(dataset, "rows.jsonl", skip_bad_rows=True)


def test_rows_of_video_and_of_other_columns_are_listed_with_those_that_nobody_can_read() -> None:
    said = [{"role": "user", "content": "what ?"}, {"role": "assistant", "content": "red"}]
    rows: list[dict[str, Any]] = [
        {"messages": said, "videos": None, "text": None},
        {"messages": said, "videos": ["a.mp4"], "text": None},
        {"messages": ["what ?"], "videos": None, "text": None},
        {"messages": said, "videos": None, "text": None},
    ]
    made = sft_rows(table_of({name: [row[name] for row in rows] for name in rows[0]}), "rows", skip_bad_rows=True)
    assert list(made.origins or ()) == [0, 3] and list(made.bad) == [1, 2]
    assert "videos" in made.bad[1] and "rows row 3: expected messages" in made.bad[2]


def test_a_script_that_has_no_such_setting_is_not_offered_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        sft_rows(read(tmp_path, talk, 2), "rows.jsonl")
    assert OFFER not in str(refused.value) and len(str(refused.value).splitlines()) == 2
