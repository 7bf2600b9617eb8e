"""Runs of `sightline eval --predictions` on made rows: pictures, questions, and the answers that tests choose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sightline.cli.main import run
from tests.tiny import picture

KINDS = ("colour", "count")


def write_rows(folder: Path, count: int = 8, gold: str = "red", name: str = "rows.jsonl") -> Path:
    """Rows with ids 0, 1, ...; two about each picture, one of each kind."""
    rows = []
    for index in range(count):
        image = f"{index // 2}.png"
        picture(index // 2).save(folder / image)
        question = f"what is number {index} ?"
        rows.append({"id": str(index), "image": image, "question": question, "answer": gold, "kind": KINDS[index % 2]})
    return write_lines(folder / name, rows)


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def made_run(data: Path, name: str, answers: Sequence[str], *flags: str, start: int = 0) -> Path:
    """The folder of a run in which item `start`, `start + 1`, ... got these answers; items without one got none."""
    records = [{"id": str(start + index), "prediction": said} for index, said in enumerate(answers)]
    predictions = write_lines(data.parent / f"{name}.jsonl", records)
    folder = data.parent / name
    command = ["eval", "--data", str(data), "--predictions", str(predictions), "--model", name]
    assert run([*command, "--output_dir", str(folder), *flags]) == 0
    return folder


def answers(bits: str) -> list[str]:
    """ "red" for each 1, "blue" for each 0."""
    return ["red" if bit == "1" else "blue" for bit in bits]
