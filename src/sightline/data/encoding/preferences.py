"""Preference rows: make one pair for each rejected answer, and read `rejected_images`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightline.data.formats.converted import has_images
from sightline.data.pictures.images import IMAGE_COLUMNS, Change, ChangedImage, rejected_images, row_images
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset


def answer_pairs(row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The row once for each of its rejected answers; itself where `rejected` is one answer, not a list of them.

    Raises:
        DataError: the list is empty.
    """
    answers = row["rejected"]
    if not is_list_of_answers(answers):
        return [row]
    if not answers:
        raise DataError(f"{name}: expected at least one rejected answer, got an empty list. Add one, or drop the row.")
    return [{**row, "rejected": answer} for answer in answers]


def is_list_of_answers(rejected: Any) -> bool:
    """Whether `rejected` holds several answers; a list of messages is one answer."""
    return isinstance(rejected, list) and not any(isinstance(part, dict) for part in rejected)


def with_changed_images(row: dict[str, Any], change: Change) -> dict[str, Any]:
    """The row with each of its images changed, once they are opened."""
    return _with_images(row, [ChangedImage(image, change) for image in row_images(row)])


def image_groups(row: dict[str, Any], perturbation: Change | None, name: str) -> list[list[Any]]:
    """The images of a row, still closed; with `perturbation`, then those that its chosen answer is held against.

    Raises:
        DataError: there are more or fewer rejected images than images.
    """
    own = row_images(row)
    return [own] if perturbation is None else [own, row_images(with_rejected_images(row, perturbation, name))]


def shown_images(row: dict[str, Any], perturbation: Change | None) -> list[Any]:
    """All images, still closed, that the sequences of a row show."""
    return [image for group in image_groups(row, perturbation, "row") for image in group]


def with_rejected_images(row: dict[str, Any], change: Change, name: str) -> dict[str, Any]:
    """The row with its `rejected_images` in place of its images, or with its images changed where it has none.

    Raises:
        DataError: there are more or fewer rejected images than images.
    """
    others = rejected_images(row)
    require_other_images(len(row_images(row)), len(others), name)
    return _with_images(row, others) if others else with_changed_images(row, change)


def require_other_images(count: int, others: int, name: str) -> None:
    """Raise DataError if a row of `count` images gives rejected images, but more or fewer of these `others`."""
    if others not in (0, count):
        raise DataError(
            f"{name}: expected as many rejected_images as images, {count}, got {others}. "
            "Give one for each image, or none: then each image is perturbed."
        )


def require_difference(pair: dict[str, Any], other_images: bool, name: str) -> None:
    """Raise DataError if chosen and rejected are the same answer to the same images: nothing can be learnt of it."""
    if pair["chosen"] != pair["rejected"] or other_images:
        return
    raise DataError(
        f"{name}: expected a rejected answer that differs from the chosen one, got {_shown(pair['chosen'])} twice. "
        "Mend one of them, drop the row, or give it rejected_images."
    )


def require_trainable_lists(dataset: Dataset | IterableDataset, source: str, processes: int) -> None:
    """Raise DataError where lists of rejected answers cannot be trained: without images, or uneven over processes.

    TRL (1.16) gathers the rewards of all pairs from every process, which takes as many from each.
    """
    import datasets

    first = next(iter(dataset)).get("rejected")
    if is_list_of_answers(first) and not has_images(dataset):
        raise DataError(
            f"{source}: expected one answer in each `rejected`, since there are no images; got a list of answers. "
            "Repeat the row for each of them, or add a column `images` of empty lists: then they share their prompt."
        )
    if processes == 1 or first is None:
        return
    if isinstance(dataset, datasets.Dataset):
        sizes = {len(value) if is_list_of_answers(value) else 1 for value in dataset["rejected"]}
        if len(sizes) > 1:
            raise DataError(
                f"{source}: expected as many rejected answers in each row, since {processes} processes train; got "
                f"{min(sizes)} to {max(sizes)}. Even them out, or train with one process."
            )
    elif is_list_of_answers(first):
        raise DataError(
            f"{source}: expected one answer in each `rejected`, since {processes} processes stream the rows; got a "
            "list of answers. Train with one process, or load the rows without streaming."
        )


def _with_images(row: dict[str, Any], images: list[Any]) -> dict[str, Any]:
    return {**{name: value for name, value in row.items() if name not in IMAGE_COLUMNS}, "images": images}


def _shown(answer: Any) -> str:
    text = answer if isinstance(answer, str) else str(answer[0].get("content") if answer else "")
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
