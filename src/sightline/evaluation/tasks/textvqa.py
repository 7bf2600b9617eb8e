"""TextVQA (validation): questions about text in pictures, answered by ten people each."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import TEXTVQA
from sightline.evaluation.task import Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item


def _read_hub(row: Row) -> Iterator[Item]:
    seen = cells.texts(row, "ocr_tokens") if row.cells.get("ocr_tokens") else ()
    yield cells.asked_item(row, cells.text(row, "question_id"), cells.texts(row, "answers"), facts={"ocr_tokens": seen})


def _read_tsv(row: Row) -> Iterator[Item]:
    yield cells.asked_item(
        row,
        cells.text(row, "index"),
        cells.texts(row, "answer"),
        category=cells.optional(row, "category"),
        facts={"ocr_tokens": ()},
    )


def _lmms_eval(item: Item) -> str:
    """lmms-eval 0.7.3 capitalizes with `str.capitalize`, which lower-cases every name in the question."""
    return f"{item.question.capitalize()}\n{prompts.SHORT_ANSWER}"


def _with_ocr(item: Item) -> str:
    """LLaVA-1.5's 58.2 was reached with the texts that an OCR system had read; without them it is about 46."""
    seen = item.facts["ocr_tokens"]
    asked = f"{item.question}\nReference OCR token: {', '.join(seen)}" if seen else item.question
    return f"{asked}\n{prompts.SHORT_ANSWER}"


_EXAMPLE = Item("example", "example", "what does the sign of Rome say?", facts={"ocr_tokens": ("ROMA", "EXIT")})

TASKS = {
    "textvqa_val": Task(
        name="textvqa_val",
        title="TextVQA, validation",
        rows=5000,
        sources=(
            *prompts.lmms_eval_datasets("textvqa", "validation"),
            prompts.vlmevalkit_file("VLMEval/TextVQA_VAL.tsv", "b233b31f551bbf4056f2f955da3a92cd"),
        ),
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "vlmevalkit": prompts.short_answer,
            "lmms-eval": _lmms_eval,
            "model-card:llava-1.5": _with_ocr,
            "model-card:qwen2-vl": prompts.qwen2_vl_short_answer,
        },
        scorers=TEXTVQA.scorers,
        metrics=TEXTVQA.metrics,
        max_new_tokens=16,
        default_prompt="vlmevalkit",
        example=_EXAMPLE,
        licence="Annotations CC-BY-4.0, pictures (OpenImages) CC-BY-2.0; not confirmed at the source.",
        paper="Singh et al. 2019, arXiv 1904.08920",
        note="Prompts with and without OCR tokens give LLaVA-1.5-7B 58.2 and about 46.",
    )
}
