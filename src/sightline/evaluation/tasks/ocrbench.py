"""OCRBench (version 1): ten kinds of reading text, 1,000 questions, a count of right answers."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import OCRBENCH
from sightline.evaluation.task import Source, Task, as_asked
from sightline.evaluation.tasks.cells import asked_item, by_kind, optional, text, texts
from sightline.evaluation.tasks.prompts import vlmevalkit_file
from sightline.scoring.records import Item

_FORMULAS = "Handwritten Mathematical Expression Recognition"


def _read_hub(row: Row) -> Iterator[Item]:
    yield _item(row, str(row.number), text(row, "question_type"), optional(row, "dataset"))


def _read_tsv(row: Row) -> Iterator[Item]:
    category = text(row, "category")
    yield _item(row, text(row, "index"), category, "HME100k" if category == _FORMULAS else "")


def _item(row: Row, identity: str, category: str, dataset: str) -> Item:
    return asked_item(row, identity, texts(row, "answer"), category=category, facts={"dataset": dataset})


TASKS = {
    "ocrbench": Task(
        name="ocrbench",
        title="OCRBench, version 1",
        rows=1000,
        sources=(
            Source("hub", "echo840/OCRBench", split="test"),
            vlmevalkit_file("OCRBench.tsv", "e953d98a987cc6e26ef717b61260b778"),
        ),
        read=by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={"official": as_asked, "lmms-eval": lambda item: item.question.strip(), "vlmevalkit": as_asked},
        scorers=OCRBENCH.scorers,
        metrics=OCRBENCH.metrics,
        max_new_tokens=128,
        default_prompt="official",
        licence="Repository MIT; the questions come from public data sets with terms of their own.",
        paper="Liu et al. 2024, arXiv 2305.07895",
    )
}
