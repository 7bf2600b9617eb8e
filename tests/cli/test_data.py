"""`sightline data convert` as a user types it: whole files or none, pictures beside them, refusals with the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.tiny import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(2):
        picture(index).save(tmp_path / f"{index}.png")
    return tmp_path


def write(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


VQA = [{"image": f"{index % 2}.png", "question": "what ?", "answer": "red", "id": str(index)} for index in range(4)]


def test_each_picture_is_copied_once_and_the_record_is_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "new" / "out.jsonl"
    assert run(["data", "convert", write(folder, *VQA), str(out), "--to", "trl-sft", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["rows_in"], record["rows_out"], record["pictures"]) == (4, 4, 2)
    assert record["format"] == "question and answer"
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0]["image"] == rows[2]["image"] != rows[1]["image"]
    assert (out.parent / rows[0]["image"]).read_bytes() == (folder / "0.png").read_bytes()
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.jsonl", "out_images"]


def test_a_row_that_cannot_be_expressed_is_named_and_nothing_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": asked}, {"messages": [{"role": "tool", "content": "c"}, *asked]}]
    out = folder / "new" / "out.json"
    assert run(["data", "convert", write(folder, *rows), str(out), "--to", "llava"]) == 2
    assert "rows.jsonl row 2: expected turns of user and assistant, which LLaVA's format can hold, got tool" in (
        capsys.readouterr().err
    )
    assert not list(out.parent.iterdir())


def test_marks_that_stand_for_no_image_cannot_be_written_as_llava(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"prompt": "what does <image> mean ?", "completion": "a picture"}
    assert run(["data", "convert", write(folder, row), str(folder / "out.json"), "--to", "llava"]) == 2
    assert "row 1: the prompt has 1 image mark, but the row has no image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.json", "--to", "trl-sft"], "OUT: expected a file that ends in .jsonl for trl-sft"),
        (["out.jsonl", "--to", "sharegpt"], "--to: expected one of trl-sft, trl-dpo, trl-kto, llava, parquet"),
        (["rows.jsonl", "--to", "trl-sft"], "is there already. Name another file"),
        (["out.jsonl", "--to", "trl-sft", "--images", "link"], "--images: expected one of copy, reference; got 'link'"),
        (["out.jsonl", "--to", "trl-dpo"], "found demonstrations (question and answer"),
    ],
)
def test_refusals(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(folder, *VQA)
    assert run(["data", "convert", source, str(folder / arguments[0]), *arguments[1:]]) == 2
    assert message in capsys.readouterr().err


def test_pictures_inside_rows_cannot_be_referenced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = str(folder / "rows.parquet")
    assert run(["data", "convert", write(folder, *VQA), parquet, "--to", "parquet"]) == 0
    assert run(["data", "convert", parquet, str(folder / "o.json"), "--to", "llava", "--images", "reference"]) == 2
    assert "rows.parquet row 1: expected a picture in a file, got one inside the rows" in capsys.readouterr().err
    assert run(["data", "convert", parquet, str(folder / "o.json"), "--to", "llava"]) == 0
    assert len(list((folder / "o_images").glob("*.png"))) == 2
