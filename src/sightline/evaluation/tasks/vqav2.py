"""VQAv2 (validation): questions about COCO pictures, answered by ten people each."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.answers import answer_texts
from sightline.data.sources.stored import Row
from sightline.errors import DataError
from sightline.evaluation.profiles import VQAV2
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.cells import asked_item, by_kind, cell, optional, text
from sightline.evaluation.tasks.prompts import lmms_eval_datasets, qwen2_vl_short_answer, short_answer
from sightline.scoring.records import Item


def _read_hub(row: Row) -> Iterator[Item]:
    yield asked_item(
        row,
        text(row, "question_id"),
        _people(row),
        category=optional(row, "answer_type"),
        facts={"question_type": optional(row, "question_type")},
    )


def _people(row: Row) -> tuple[str, ...]:
    """What each person said, equal answers kept: the score counts them."""
    said = cell(row, "answers")
    if not isinstance(said, list | tuple) or not said:
        raise DataError(f"{row.name}: expected a list of people's answers, got {said!r}. Test splits have none.")
    return answer_texts(said, f"{row.name}: answers")


TASKS = {
    "vqav2_val": Task(
        name="vqav2_val",
        title="VQAv2, validation",
        rows=214354,
        sources=lmms_eval_datasets("VQAv2", "validation"),
        read=by_kind({"hub": _read_hub}),
        prompts={
            "lmms-eval": short_answer,
            "model-card:llava-1.5": short_answer,
            "model-card:qwen2-vl": qwen2_vl_short_answer,
        },
        scorers=VQAV2.scorers,
        metrics=VQAV2.metrics,
        max_new_tokens=16,
        default_prompt="lmms-eval",
        licence="Annotations CC-BY-4.0; COCO's pictures under the terms of Flickr.",
        paper="Goyal et al. 2017, arXiv 1612.00837",
        note="Papers quote test-dev and test-std, which only the server scores.",
    )
}
