"""Bring rows of any supported format into TRL's columns, without touching their images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

VQA_COLUMNS = ("question", "answer")
SFT_FORMATS = (
    ("messages",),
    ("prompt", "completion"),
    ("text",),
    VQA_COLUMNS,
)
PREFERENCE_FORMATS = (("prompt", "chosen", "rejected"),)


def to_sft_columns(dataset: Dataset | IterableDataset, source: str) -> Dataset | IterableDataset:
    """The dataset with TRL's SFT columns; VQA rows (`question`, `answer`) become `prompt` and `completion`.

    Raises:
        DataError: no supported set of columns is there.
    """
    columns = _columns(dataset)
    require_columns(columns, SFT_FORMATS, source)
    if not set(VQA_COLUMNS) <= columns or columns & {"messages", "completion", "text"}:
        return dataset
    return _with_columns(dataset, _vqa_to_prompt_completion, VQA_COLUMNS)


def to_preference_columns(dataset: Dataset | IterableDataset, source: str) -> Dataset | IterableDataset:
    """The dataset with TRL's preference columns; a plain `question` is taken as the prompt.

    Raises:
        DataError: no supported set of columns is there.
    """
    columns = _columns(dataset)
    if {"question", "chosen", "rejected"} <= columns and "prompt" not in columns:
        return _with_columns(dataset, _question_to_prompt, ("question", "chosen", "rejected"))
    require_columns(columns, PREFERENCE_FORMATS, source)
    return dataset


def require_columns(columns: Iterable[str], formats: Iterable[tuple[str, ...]], source: str) -> None:
    """Raise DataError unless `columns` holds every column of one of the formats."""
    found = set(columns)
    if any(set(format_) <= found for format_ in formats):
        return
    needed = " or ".join(" + ".join(format_) for format_ in formats)
    raise DataError(
        f"{source}: expected the columns {needed} (and image or images); found {', '.join(sorted(found)) or 'none'}. "
        f"Rename the columns, or convert the file."
    )


def has_images(dataset: Dataset | IterableDataset) -> bool:
    """Whether the dataset has an `image` or `images` column."""
    return bool(_columns(dataset) & {"image", "images"})


def _columns(dataset: Dataset | IterableDataset) -> set[str]:
    from trl.data_utils import get_dataset_column_names

    return set(get_dataset_column_names(dataset))


def _with_columns(dataset: Any, convert: Any, inputs: tuple[str, ...]) -> Any:
    """`dataset` with `inputs` replaced by the columns that `convert` makes of them; image columns stay unread."""
    import datasets

    if isinstance(dataset, datasets.IterableDataset):
        return dataset.map(convert, remove_columns=list(inputs))
    text = dataset.select_columns(list(inputs)).map(convert, remove_columns=list(inputs), desc="Reading questions")
    rest = dataset.remove_columns(list(inputs))
    return datasets.concatenate_datasets([rest, text], axis=1)


def _vqa_to_prompt_completion(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": row["question"]}],
        "completion": [{"role": "assistant", "content": row["answer"]}],
    }


def _question_to_prompt(row: dict[str, Any]) -> dict[str, Any]:
    rejected = row["rejected"]
    return {
        "prompt": [{"role": "user", "content": row["question"]}],
        "chosen": _said(row["chosen"]),
        "rejected": [_said(answer) for answer in rejected] if isinstance(rejected, list) else _said(rejected),
    }


def _said(answer: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": answer}]
