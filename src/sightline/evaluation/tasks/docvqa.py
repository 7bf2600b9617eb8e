"""DocVQA (validation): questions about pages of documents, scored by edit distance to the gold texts."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import DOCVQA
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.cells import asked_item, by_kind, optional, text, texts
from sightline.evaluation.tasks.prompts import lmms_eval_datasets, qwen2_vl_short_answer, short_answer, vlmevalkit_file
from sightline.scoring.records import Item


def _read_hub(row: Row) -> Iterator[Item]:
    kinds = texts(row, "question_types") if row.cells.get("question_types") else ()
    yield asked_item(
        row,
        text(row, "questionId"),
        texts(row, "answers"),
        category=kinds[0] if kinds else "",
        facts={"question_types": kinds},
    )


def _read_tsv(row: Row) -> Iterator[Item]:
    yield asked_item(row, text(row, "index"), texts(row, "answer"), category=optional(row, "category"))


TASKS = {
    "docvqa_val": Task(
        name="docvqa_val",
        title="DocVQA, validation",
        rows=5349,
        sources=(
            *lmms_eval_datasets("DocVQA", "validation", "DocVQA"),
            vlmevalkit_file("VLMEval/DocVQA_VAL.tsv", "d5ee77e1926ff10690d469c56b73eabf"),
        ),
        read=by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={"lmms-eval": short_answer, "vlmevalkit": short_answer, "model-card:qwen2-vl": qwen2_vl_short_answer},
        scorers=DOCVQA.scorers,
        metrics=DOCVQA.metrics,
        max_new_tokens=32,
        default_prompt="lmms-eval",
        licence="The Hub copy says Apache-2.0; the originals come under the terms of RRC and UCSF (not confirmed).",
        paper="Mathew et al. 2021, arXiv 2007.00398",
        note="Model cards quote the test split, whose answers only the RRC server has.",
    )
}
