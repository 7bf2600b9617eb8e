"""MME: two questions per picture, yes or no, in ten kinds of perception and four of cognition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.metrics.groups import MME_CATEGORIES
from sightline.evaluation.profiles import MME
from sightline.evaluation.task import Task, as_asked
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item


def _read_hub(row: Row) -> Iterator[Item]:
    picture = cells.text(row, "question_id")  # names the picture, so both of its questions have it
    about = hashlib.blake2b(cells.text(row, "question").encode(), digest_size=4).hexdigest()
    yield _item(row, f"{picture}#{about}", picture, picture)


def _read_tsv(row: Row) -> Iterator[Item]:
    picture = cells.optional(row, "image_path") or cells.pictures(row, "image")[0].key
    group = f"{cells.text(row, 'category')}/{picture}"
    yield _item(row, cells.text(row, "index"), group, picture, group)


def _item(row: Row, identity: str, group: str, *aliases: str) -> Item:
    return cells.asked_item(
        row,
        identity,
        (cells.text(row, "answer").strip().lower().removesuffix("."),),
        category=cells.text(row, "category"),
        group=group,
        facts={"group_size": 2},
        aliases=aliases,
    )


TASKS = {
    "mme": Task(
        name="mme",
        title="MME",
        rows=2374,
        sources=(
            *prompts.lmms_eval_datasets("MME", "test"),
            prompts.vlmevalkit_file("MME.tsv", "b36b43c3f09801f5d368627fb92187c3"),
        ),
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "official": as_asked,
            "lmms-eval": prompts.yes_no_short_answer,
            "vlmevalkit": as_asked,
            "model-card:llava-1.5": prompts.yes_no_short_answer,
            "model-card:qwen2-vl": prompts.yes_no,
        },
        golds=("yes", "no"),
        categories=MME_CATEGORIES,
        scorers=MME.scorers,
        metrics=MME.metrics,
        max_new_tokens=16,
        default_prompt="official",
        example=prompts.YES_NO_EXAMPLE,
        licence="On request, for academic use (not confirmed at the source).",
        paper="Fu et al. 2023, arXiv 2306.13394",
    )
}
