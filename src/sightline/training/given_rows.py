"""Rows that a script gives to a trainer: datasets, lists, or torch's datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from transformers import PreTrainedTokenizerBase

from sightline.data.formats.converted import has_images
from sightline.errors import ConfigError
from sightline.training.planned_rows import PlannedRows
from sightline.training.row_guard import RowGuard


@dataclass(frozen=True)
class GivenRows:
    """The rows of a trainer.

    Attributes:
        train: with a dataset, or what the script's collator reads.
        evaluation: the like, by name; none, one `eval_dataset`, or several.
        collator: the script's own, or None.
        is_split: whether rows to evaluate on were given by names.
    """

    train: PlannedRows
    evaluation: Mapping[str, PlannedRows]
    collator: Any
    is_split: bool = False

    @classmethod
    def of(cls, train_dataset: Any, eval_dataset: Any, collator: Any) -> GivenRows:
        """The rows that a script gave, or a plan.

        Raises:
            ConfigError: several splits were given where one was expected, or no set of rows.
        """
        own = collator is not None
        train, tested = _named(train_dataset, "train_dataset", own), _named(eval_dataset, "eval_dataset", own)
        if isinstance(tested.dataset, dict):
            parts = {
                name: PlannedRows(part, _name_of(part, name), is_planned=False) for name, part in tested.dataset.items()
            }
            return cls(train, parts, collator, is_split=True)
        return cls(train, {} if tested.dataset is None else {"eval_dataset": tested}, collator)

    @property
    def datasets(self) -> tuple[Any, Any]:
        """What trains, and what is evaluated on, as TRL's trainers take them."""
        parts = {name: rows.dataset for name, rows in self.evaluation.items()}
        return self.train.dataset, parts if self.is_split else parts.get("eval_dataset")

    @property
    def parts(self) -> dict[str, PlannedRows]:
        """All rows by the names of the arguments."""
        return {"train_dataset": self.train, **self.evaluation}

    def guard(self) -> RowGuard:
        """What leaves bad rows of a batch out where the plan says so, and names them."""
        return RowGuard(tuple(self.parts.values()), self.train.skip_bad_rows)

    def each(self, change: Callable[[PlannedRows], PlannedRows]) -> GivenRows:
        """These rows, changed."""
        return replace(
            self,
            train=change(self.train),
            evaluation={name: change(rows) for name, rows in self.evaluation.items()},
        )

    def in_columns(self, bring: Callable[[Any], Any]) -> GivenRows:
        """These rows in TRL's columns, by `bring` where no plan has them there."""
        return self.each(lambda rows: rows if rows.is_planned else replace(rows, dataset=bring(rows.dataset)))

    @property
    def has_pictures(self) -> bool:
        """Whether the rows have pictures, or may have them: what a collator makes of a list is its own matter."""
        train = self.train.dataset
        return _is_listed(train) or (train is not None and has_images(train))

    @contextmanager
    def shown(self, args: Any, processing_class: Any) -> Iterator[tuple[Any, Any]]:
        """What TRL's `__init__` is shown, which prepares no row of a collator that is not its own: these rows, or where
        it would refuse them (lists, pictures beside a tokenizer) as many empty ones."""
        column = self._hidden_behind(processing_class)
        if not column:
            yield self.datasets
            return
        given = getattr(args, "dataset_kwargs", None)
        if args is not None and column == _TEXT:
            args.dataset_kwargs = {**(given or {}), "skip_prepare_dataset": True}
        train, evaluation = self.datasets
        yield _stand_in(train, column), _stand_in(evaluation, column)

    def are_hidden(self, processing_class: Any) -> bool:
        """Whether TRL was not shown these rows, so that its trainer has to be given them afterwards."""
        return bool(self._hidden_behind(processing_class))

    def _hidden_behind(self, processing_class: Any) -> str:
        if self.collator is None or not self.has_pictures:
            return ""
        if isinstance(processing_class, PreTrainedTokenizerBase):
            return _TEXT
        return _PICTURES if any(_is_listed(rows.dataset) for rows in self.parts.values()) else ""


def _named(rows: Any, name: str, own_collator: bool) -> PlannedRows:
    if isinstance(rows, PlannedRows):
        return rows
    rows = given_rows(rows, name, own_collator)
    return PlannedRows(rows, _name_of(rows, name), is_planned=False)


def _name_of(rows: Any, name: str) -> str:
    """What messages call rows that a script gave: as `datasets` does, or as the argument is called."""
    return str(getattr(getattr(rows, "info", None), "dataset_name", None) or name)


_TEXT, _PICTURES = "row", "images"  # columns by which TRL (1.16) tells what it has before it


def given_rows(rows: Any, name: str, own_collator: bool) -> Any:
    """A dataset of what was given for `name`; with a collator of the user's, a list or a torch dataset as it is.

    Raises:
        ConfigError: it holds several splits where one was expected, or is no set of rows.
    """
    if rows is None or isinstance(rows, Dataset | IterableDataset):
        return rows
    if isinstance(rows, dict):
        if name == "train_dataset":
            splits = ", ".join(map(str, rows))
            first = next(iter(rows), "train")
            raise ConfigError(
                f"{name}: expected the rows of one split; got a {type(rows).__name__} of {splits or 'none'}. Pass "
                f"dataset[{'train' if 'train' in rows else first!r}]."
            )
        kind = type(rows) if isinstance(rows, DatasetDict | IterableDatasetDict) else dict
        return kind({part: given_rows(own, f"{name}[{part!r}]", own_collator) for part, own in rows.items()})
    listed = isinstance(rows, list | tuple)
    indexed = isinstance(rows, torch.utils.data.Dataset) and not isinstance(rows, torch.utils.data.IterableDataset)
    if listed and not len(rows):
        raise ConfigError(f"{name}: expected rows; got an empty {type(rows).__name__}. Pass at least one row.")
    if own_collator and (listed or indexed):
        return rows
    if not listed or not all(isinstance(row, dict) for row in rows):
        got = f"a {type(rows).__name__}" + (f" of {type(rows[0]).__name__}" if listed else "")
        raise ConfigError(
            f"{name}: expected a Dataset or a list of rows, each a mapping of columns; got {got}. Make one by "
            "datasets.Dataset.from_list(rows), or pass the data_collator that reads these rows."
        )
    try:
        return Dataset.from_list(list(rows))
    except Exception as error:  # pyarrow and datasets raise anything for values that fit no column
        raise ConfigError(
            f"{name}: expected rows whose columns have one type each; datasets makes none of this list "
            f"({str(error).splitlines()[0]}). Give all rows the same columns and kinds of values."
        ) from error


def _is_listed(rows: Any) -> bool:
    """Whether rows are a list or a torch dataset, which TRL (1.16) refuses and a collator of the user's reads."""
    if isinstance(rows, dict):
        return any(_is_listed(part) for part in rows.values())
    return rows is not None and not isinstance(rows, Dataset | IterableDataset)


def _stand_in(rows: Any, column: str) -> Any:
    """A dataset of as many empty rows, with one column, for TRL to make a trainer of."""
    if isinstance(rows, dict):
        return {name: _stand_in(part, column) for name, part in rows.items()}
    if rows is None:
        return None
    if isinstance(rows, IterableDataset):
        return Dataset.from_dict({column: [None]})
    return Dataset.from_dict({column: [None] * len(rows)})
