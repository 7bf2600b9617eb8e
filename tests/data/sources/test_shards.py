"""Samples of tar shards whose columns differ keep all that each of them holds."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sightline.data.sources.shards import SHARD_ROWS, read_shard_table
from tests.tiny import picture


def shard(path: Path, samples: list[tuple[int, dict[str, Any]]]) -> Path:
    """A shard of samples, each with so many pictures and these columns."""
    buffer = io.BytesIO()
    picture(0, 8).save(buffer, "PNG")
    with tarfile.open(path, "w") as archive:
        for index, (pictures, columns) in enumerate(samples):
            files = [(f"{number}.png" if pictures > 1 else "png", buffer.getvalue()) for number in range(pictures)]
            for ending, content in (*files, ("json", json.dumps(columns).encode())):
                member = tarfile.TarInfo(f"{index}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "answers",
    [
        ["a", "b", None],
        [None, "a", "b"],
        [*(SHARD_ROWS * [None]), "a"],
        ["007", 3, "true"],
        [["a", "b"], "c"],
        [{"text": "a"}, {"text": "b", "score": 1.5}],
    ],
    ids=["absent", "absent first", "after a batch", "numbers", "lists", "records"],
)
def test_each_sample_keeps_its_columns_and_values(answers: list[Any], tmp_path: Path) -> None:
    columns = [{"question": "q"} | ({"answer": answer} if answer is not None else {}) for answer in answers]
    found = read_shard_table([shard(tmp_path / "a.tar", [(1, row) for row in columns])])
    assert found["question"][:] == ["q"] * len(answers)
    for row, answer in zip(found.remove_columns("image"), answers, strict=True):
        kept = row["answer"]
        assert (
            {key: value for key, value in kept.items() if value is not None} if isinstance(kept, dict) else kept
        ) == answer


def test_one_picture_here_and_two_there_are_lists_of_pictures(tmp_path: Path) -> None:
    samples: list[tuple[int, dict[str, Any]]] = [(1, {"question": "q"}), (2, {"question": "q"}), (0, {"question": "q"})]
    found = read_shard_table([shard(tmp_path / "a.tar", samples)])
    assert [len(row["images"] or []) for row in found] == [1, 2, 0] and "image" not in found.column_names
