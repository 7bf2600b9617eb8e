"""Drop and report rows that exceed `max_length` before training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from sightline.data.encoding.lengths import Lengths, RowReader, describe, fit_lengths
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.tables import is_table, why_no_table
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.progress import tracked


@dataclass(frozen=True)
class ReadRows:
    """Rows of a dataset that were read once, for whoever must know their tokens."""

    reader: RowReader
    lengths: Lengths


def fit_datasets(trainer: Any, encoder: SequenceEncoder, preferences: bool, packing: bool = False) -> ReadRows | None:
    """Leaves the rows that `max_length` lets in in the trainer's datasets, and prints what became of the others.

    Gives the train dataset's rows where they had to be read: for `max_length`, or for `packing`.

    Raises:
        DataError: rows that `length_policy` refuses.
        ConfigError: rows must be read before training, but the dataset is streamed, or a transform makes them anew.
    """
    limit, policy = encoder.settings.max_length, encoder.settings.length_policy
    if not is_table(trainer.train_dataset) and (packing or (limit is not None and policy == "drop")):
        setting = "packing" if packing else "length_policy drop"
        raise ConfigError(
            f"{setting} reads every row before training, but {why_no_table('train_dataset', trainer.train_dataset)}. "
            "Pass a Dataset without a transform, or set "
            f"{'packing to false' if packing else 'length_policy to truncate'}."
        )

    def fit(dataset: Any, name: str) -> tuple[Any, ReadRows | None]:
        if not is_table(dataset) or limit is None:
            return dataset, None
        rows = _read(trainer, dataset, name, encoder, preferences)
        say(describe(rows.lengths, rows.reader.source, limit, policy))
        return dataset.select(rows.lengths.kept) if rows.lengths.dropped else dataset, rows

    trainer.train_dataset, read = fit(trainer.train_dataset, "train_dataset")
    if isinstance(trainer.eval_dataset, dict):
        parts = {name: fit(part, name)[0] for name, part in trainer.eval_dataset.items()}
        trainer.eval_dataset = type(trainer.eval_dataset)(parts)
    else:
        trainer.eval_dataset, _ = fit(trainer.eval_dataset, "eval_dataset")
    if packing and read is None:
        read = _read(trainer, trainer.train_dataset, "train_dataset", encoder, preferences)
    return read


def _read(trainer: Any, dataset: Dataset, name: str, encoder: SequenceEncoder, preferences: bool) -> ReadRows:
    def progress(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        hidden = trainer.args.disable_tqdm or not trainer.accelerator.is_main_process
        return tracked(items, title, total, is_shown=not hidden)

    columns = trainer._remove_unused_columns(dataset, description="training")  # what a batch is made of
    reader = RowReader(columns, dataset.info.dataset_name or name, encoder, preferences, progress)
    return ReadRows(reader, fit_lengths(reader, progress))
