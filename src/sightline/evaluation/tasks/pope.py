"""POPE: whether an object is in a COCO picture; absent ones are drawn at random, from popular and from likely ones."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.evaluation.scoring import POPE
from sightline.evaluation.task import Item, Row, Task
from sightline.evaluation.tasks.cells import by_kind, pictures, text
from sightline.evaluation.tasks.places import lmms_eval_datasets, vlmevalkit_file
from sightline.evaluation.tasks.prompts import YES_NO_EXAMPLE, without_yes_no, yes_no, yes_no_short_answer


def _read_hub(row: Row) -> Iterator[Item]:
    category = text(row, "category")
    yield _item(row, f"{category}-{text(row, 'question_id')}", category)


def _read_tsv(row: Row) -> Iterator[Item]:
    """One item per category: the file holds a question once and names all the categories it belongs to."""
    for category in text(row, "category").split(","):
        yield _item(row, f"{category.strip()}-{text(row, 'index')}", category.strip())


def _item(row: Row, identity: str, category: str) -> Item:
    return Item(
        id=identity,
        name=row.name,
        question=text(row, "question"),
        pictures=pictures(row, "image"),
        answers=(text(row, "answer").lower(),),
        category=category,
    )


TASKS = {
    "pope": Task(
        name="pope",
        title="POPE",
        rows=9000,
        sources=(
            *lmms_eval_datasets("POPE", "test"),
            vlmevalkit_file("POPE.tsv", "c12f5acb142f2ef1f85a26ba2fbe41d5"),
        ),
        read=by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "official": without_yes_no,
            "lmms-eval": yes_no_short_answer,
            "vlmevalkit": yes_no,
            "model-card:llava-1.5": yes_no_short_answer,
            "model-card:qwen2-vl": yes_no,
        },
        scorers=POPE.scorers,
        metrics=POPE.metrics,
        max_new_tokens=16,
        default_prompt="lmms-eval",
        example=YES_NO_EXAMPLE,
        licence="Repository MIT; COCO's pictures under the terms of Flickr.",
        paper="Li et al. 2023, arXiv 2305.10355",
        note="5,127 of the 9,000 rows differ in picture or question; each is asked once.",
    )
}
