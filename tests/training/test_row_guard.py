"""Pictures that go while training runs: their rows are left out, named as their dataset counts them, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Image

from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.sources.bad_rows import SHOWN_ROWS
from sightline.errors import DataError
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.planned_rows import PlannedRows
from sightline.training.row_guard import RowGuard
from tests.tiny import picture, preference_rows, tiny_processor, vqa_rows
from tests.training.test_trainers import as_completions


@pytest.fixture(params=["demonstrations", "packed", "preferences"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, list[Any]]:
    """A collator and its rows, each with a picture in a file of its own."""
    preferences = request.param == "preferences"
    rows = preference_rows(4, 1) if preferences else as_completions(vqa_rows(4, images=1))
    for number, row in enumerate(rows):
        picture(number).save(tmp_path / f"{number}.png")
        row["images"] = [str(tmp_path / f"{number}.png")]
    dataset = Dataset.from_list(rows)
    dataset = dataset.cast_column("images", [Image(decode=False)])
    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    kind = PreferenceCollator if preferences else SFTCollator
    collator = kind(encoder, 0, share=False, guard=RowGuard((PlannedRows(dataset, "train.jsonl"),)))
    given = [dataset[index] for index in range(4)]
    return collator, [given[:2], given[2:]] if request.param == "packed" else given


def test_without_it_the_row_ends_the_batch(made: Any, tmp_path: Path) -> None:
    collator, rows = made
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"^row 3 of the batch: image '.*2.png' not found"):
        collator(rows)


def test_it_is_left_out_and_counted_where_that_is_wished(made: Any, tmp_path: Path, capsys: Any) -> None:
    collator, rows = made
    packed = isinstance(rows[0], list)
    expected = collator([rows[0], rows[1][1:]] if packed else [rows[0], rows[1], rows[3]])
    (tmp_path / "2.png").write_bytes(b"cut")
    collator.guard.skip = True
    found = collator(rows)
    assert found.keys() == expected.keys()
    for name in expected:
        if isinstance(expected[name], torch.Tensor):
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0)
    assert "Left out: train.jsonl row 3: image" in capsys.readouterr().err and collator.guard.left_out == 1


def test_a_batch_of_bad_rows_has_the_last_good_one_once_more(made: Any, tmp_path: Path) -> None:
    collator, rows = made
    collator.guard.skip = True
    expected = collator(rows[:1])
    for number in (2, 3):
        (tmp_path / f"{number}.png").unlink()
    torch.testing.assert_close(collator(rows[-1:])["input_ids"], expected["input_ids"], rtol=0, atol=0)
    collator.guard._spare = None
    with pytest.raises(DataError, match="train.jsonl row .* It is the first batch, and none of its rows is left"):
        collator(rows[-1:])


def test_many_bad_rows_are_not_a_line_each(made: Any, tmp_path: Path, capsys: Any) -> None:
    collator, rows = made
    collator.guard.skip = True
    collator(rows)
    (tmp_path / "3.png").unlink()
    for _ in range(40):
        collator(rows)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == SHOWN_ROWS + 2 and said[-1].startswith("Left out: 32 rows by now. The last: train.jsonl row 4")
