"""Questions about images from which preference pairs are made, with gold answers where known."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.stored import DatasetPicture, Row
from sightline.errors import DataError
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.cells import text
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.normalise import normalise
from sightline.scoring.records import Item
from sightline.synthesis.settings import CORRUPTION, SAMPLES, SynthesisConfig
from sightline.synthesis.units import one_picture, require_opened, source_table

QUESTION_TASK, CAPTION_TASK = "custom", "coco_caption_cc"


@dataclass(frozen=True)
class Asked:
    """A question as a model is asked it; `item` holds what its answers are scored by."""

    item: Item
    text: str
    picture: DatasetPicture


@dataclass(frozen=True)
class Questions:
    """The questions of a source, and the task whose scorer reads their answers."""

    task: Task
    rows: tuple[Asked, ...]


def read_questions(config: SynthesisConfig, bad: BadRows) -> Questions:
    """The first `limit` questions of a source, each once per picture.

    Rows of captions are asked for a caption, which is held against theirs.

    Raises:
        DataError: rows cannot be used, or have no gold answer where nothing else tells good from bad; the first of
            them, where they may not be left out.
    """
    table = source_table(config)
    task = load_task(QUESTION_TASK if "question" in table.dataset.column_names else CAPTION_TASK)
    asked: dict[tuple[str, str], Asked] = {}
    opened: set[str] = set()
    for index in range(len(table)):
        if len(asked) == config.limit:
            break
        with bad.of_row(index):
            row = table.row(index)
            picture = one_picture(row)
            item = _item(task, row, picture)
            _check_gold(item, config)
            require_opened(picture, opened)
            one = Asked(item, task.prompts[task.default_prompt](item), picture)
            asked.setdefault((picture.key, normalise(one.text)), one)
    bad.settle(len(asked))
    return Questions(task, tuple(asked.values()))


def reject(asked: Asked, reason: str, reply: str, shown: str) -> dict[str, str]:
    """The record of a reply that could not be used."""
    return {"row": asked.item.name, "reason": reason, "reply": reply, "shown": shown}


def _item(task: Task, row: Row, picture: DatasetPicture) -> Item:
    given = [row.cells.get(column) for column in ("answers", "answer")]
    if task.name == QUESTION_TASK and all(value in (None, "", []) for value in given):
        return Item(row.name, row.name, text(row, "question"), (picture,))
    return next(iter(task.read("file", [row])))


def _check_gold(item: Item, config: SynthesisConfig) -> None:
    pairs = config.pairs
    unscored = pairs.chosen_from == SAMPLES and (pairs.rejected_from == CORRUPTION or bool(pairs.judge))
    if not item.answers and not unscored:
        raise DataError(
            f"{item.name}: expected a gold answer in the column answer (or answers), found none. Add it, or let "
            "something else tell good from bad: --judge, or --rejected_from corruption."
        )
