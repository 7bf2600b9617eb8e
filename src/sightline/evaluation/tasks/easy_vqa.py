"""easy-VQA: questions about one drawn shape; thirteen answers, one word each."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import EXACT
from sightline.evaluation.task import Source, Task, as_asked
from sightline.evaluation.tasks.cells import asked_item, by_kind, optional, text
from sightline.evaluation.tasks.prompts import short_answer
from sightline.scoring.records import Item

_SHAPES = ("circle", "rectangle", "triangle")


def _read(row: Row) -> Iterator[Item]:
    answer = text(row, "answer")
    yield asked_item(
        row,
        optional(row, "id") or str(row.number),
        (answer,),
        category="yes/no" if answer in ("yes", "no") else "shape" if answer in _SHAPES else "colour",
    )


TASKS = {
    "easy_vqa": Task(
        name="easy_vqa",
        title="easy-VQA, test",
        sources=(Source("file", "easy_vqa/test.jsonl", address="https://github.com/vzhou842/easy-VQA"),),
        read=by_kind({"hub": _read}),
        prompts={"sightline": as_asked, "lmms-eval": short_answer},
        scorers=EXACT.scorers,
        metrics=EXACT.metrics,
        max_new_tokens=8,
        default_prompt="sightline",
        licence="MIT",
        note="Rows: id, image, question, answer.",
    )
}
