"""AI2D: diagrams of school science; one benchmark with labels masked by letters, another with labels left readable."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import AI2D
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item


def _read_hub(row: Row) -> Iterator[Item]:
    options = cells.listed_options(row, "options")
    yield cells.asked_item(
        row, str(row.number), (cells.letter_at(row, cells.cell(row, "answer"), options),), options=options
    )


def _read_tsv(row: Row) -> Iterator[Item]:
    options = cells.lettered_options(row)
    yield cells.asked_item(
        row,
        cells.text(row, "index"),
        (cells.gold_letter(row, "answer", options),),
        options=options,
        category=cells.optional(row, "category"),
    )


def _task(name: str, title: str, sources: tuple[Source, ...]) -> Task:
    return Task(
        name=name,
        title=title,
        rows=3088,
        sources=sources,
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "lmms-eval": prompts.letter_answer,
            "vlmevalkit": prompts.vlmevalkit_choice,
            "model-card:qwen2-vl": prompts.qwen2_vl_choice,
        },
        scorers=AI2D.scorers,
        metrics=AI2D.metrics,
        max_new_tokens=16,
        default_prompt="lmms-eval",
        example=prompts.CHOICE_EXAMPLE,
        licence="Not confirmed at the source; one public inventory says research only, non-commercial.",
        paper="Kembhavi et al. 2016, arXiv 1603.07396",
        note="Papers quote either of ai2d_masked and ai2d_no_mask as AI2D; their scores do not compare.",
    )


TASKS = {
    "ai2d_masked": _task(
        "ai2d_masked",
        "AI2D, test, labels masked by letters",
        (
            *prompts.lmms_eval_datasets("ai2d", "test"),
            prompts.vlmevalkit_file("AI2D_TEST.tsv", "0f593e0d1c7df9a3d69bf1f947e71975"),
        ),
    ),
    "ai2d_no_mask": _task(
        "ai2d_no_mask",
        "AI2D, test, labels readable",
        (
            Source("hub", "Efficient-Large-Model/ai2d-no-mask", split="test"),
            prompts.vlmevalkit_file("AI2D_TEST_NO_MASK.tsv", "fd8f463634d4fe9fbd23b876e8eea5be"),
        ),
    ),
}
