"""Rows that a script gives to a trainer: datasets, lists, or torch's datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from transformers import PreTrainedTokenizerBase

from sightline.data.formats import has_images
from sightline.errors import ConfigError


@dataclass(frozen=True)
class GivenRows:
    """The rows of a trainer.

    Attributes:
        train: a dataset, or what the script's collator reads.
        evaluation: the like, None, or a mapping of several.
        collator: the script's own, or None.
    """

    train: Any
    evaluation: Any
    collator: Any

    @classmethod
    def of(cls, train_dataset: Any, eval_dataset: Any, collator: Any) -> GivenRows:
        """The rows that a script gave.

        Raises:
            ConfigError: several splits were given where one was expected, or no set of rows.
        """
        own = collator is not None
        return cls(
            given_rows(train_dataset, "train_dataset", own), given_rows(eval_dataset, "eval_dataset", own), collator
        )

    def each(self, change: Callable[[Any], Any]) -> GivenRows:
        """These rows, changed."""
        return replace(self, train=change(self.train), evaluation=change(self.evaluation))

    @property
    def has_pictures(self) -> bool:
        """Whether the rows have pictures, or may have them: what a collator makes of a list is its own matter."""
        return _is_listed(self.train) or (self.train is not None and has_images(self.train))

    @contextmanager
    def shown(self, args: Any, processing_class: Any) -> Iterator[tuple[Any, Any]]:
        """What TRL's `__init__` is shown, which prepares no row of a collator that is not its own: these rows, or where
        it would refuse them (lists, pictures beside a tokenizer) as many empty ones."""
        column = self._hidden_behind(processing_class)
        if not column:
            yield self.train, self.evaluation
            return
        given = getattr(args, "dataset_kwargs", None)
        if args is not None and column == _TEXT:
            args.dataset_kwargs = {**(given or {}), "skip_prepare_dataset": True}
        yield _stand_in(self.train, column), _stand_in(self.evaluation, column)

    def put_back(self, trainer: Any, processing_class: Any) -> None:
        """Gives the trainer the rows that TRL was not shown."""
        if self._hidden_behind(processing_class):
            trainer.train_dataset, trainer.eval_dataset = self.train, self.evaluation
            trainer._is_vision_dataset = True

    def _hidden_behind(self, processing_class: Any) -> str:
        if self.collator is None or not self.has_pictures:
            return ""
        if isinstance(processing_class, PreTrainedTokenizerBase):
            return _TEXT
        return _PICTURES if _is_listed(self.train) or _is_listed(self.evaluation) else ""


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
