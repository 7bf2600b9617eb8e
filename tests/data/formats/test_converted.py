"""Rows that a format cannot read are told together, by file and row, or left out and said where that is wished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.data.formats import preference_rows, sft_rows
from sightline.data.sources.bad_rows import OFFER, SHOWN_ROWS
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError

ROWS = 2 * SHOWN_ROWS


def talk(role: str) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": "what ?"}, {"from": role, "value": "red"}]}


def ranking(role: str) -> dict[str, Any]:
    asks = "human" if role == "gpt" else role
    pair = {"chosen": {"from": "gpt", "value": "red"}, "rejected": {"from": "gpt", "value": "blue"}}
    return {"conversations": [{"from": asks, "value": "what ?"}], **pair}


def read(folder: Path, make: Any, bad: int) -> Any:
    path = folder / "rows.jsonl"
    rows = [make("bot" if 0 < number <= bad else "gpt") for number in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_dataset(path)


@pytest.mark.parametrize(("convert", "make"), [(sft_rows, talk), (preference_rows, ranking)], ids=["sft", "dpo"])
@pytest.mark.parametrize("bad", [1, 3, SHOWN_ROWS + 2])
def test_rows_that_a_format_cannot_read_are_listed_from_the_first(
    convert: Any, make: Any, bad: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as refused:
        convert(read(tmp_path, make, bad), "rows.jsonl", skip_bad_rows=False)
    said = str(refused.value).splitlines()
    assert said[0].startswith("rows.jsonl row 2: ") and "'bot'" in said[0] and said[-1].endswith(OFFER)
    assert len(said) == min(bad, SHOWN_ROWS) + (bad > SHOWN_ROWS)
    if bad > SHOWN_ROWS:
        assert said[-1].startswith("... and 2 more rows.")


@pytest.mark.parametrize(("convert", "make"), [(sft_rows, talk), (preference_rows, ranking)], ids=["sft", "dpo"])
def test_such_rows_are_left_out_and_said_each_time(convert: Any, make: Any, tmp_path: Path, capsys: Any) -> None:
    for _ in range(2):
        rows = convert(read(tmp_path, make, 3), "rows.jsonl", skip_bad_rows=True)
        assert len(rows.dataset) == ROWS - 3 and list(rows.origins)[:3] == [0, 4, 5] and rows.left_out == 0
        said = capsys.readouterr().err
        assert f"rows.jsonl: 3 of {ROWS} rows cannot be used and are left out:\nrows.jsonl row 2: " in said


def test_a_script_that_has_no_such_setting_is_not_offered_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        sft_rows(read(tmp_path, talk, 2), "rows.jsonl")
    assert OFFER not in str(refused.value) and len(str(refused.value).splitlines()) == 2
