"""PuzzleVQA: what is missing in a drawn pattern, among three or four options."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import CHOICE
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.cells import asked_item, by_kind, letter_of, listed_options, optional, text
from sightline.evaluation.tasks.prompts import CHOICE_EXAMPLE, letter_answer
from sightline.scoring.records import Item


def _read(row: Row) -> Iterator[Item]:
    """The publisher calls the options `options`, and files made from its data `choices`."""
    options = listed_options(row, "choices" if "choices" in row.cells else "options")
    yield asked_item(
        row,
        optional(row, "id") or str(row.number),
        (letter_of(row, text(row, "answer"), options),),
        options=options,
        category=optional(row, "puzzle") or optional(row, "category"),
    )


TASKS = {
    "puzzlevqa": Task(
        name="puzzlevqa",
        title="PuzzleVQA",
        rows=2000,
        sources=(
            Source(
                "file", "puzzlevqa/mcq.jsonl", address="https://github.com/declare-lab/LLM-PuzzleTest (PuzzleVQA/data)"
            ),
            Source("hub", "declare-lab/PuzzleVQA", split="train", revision="cc5c866d99edfb0b8cdc088d46200b719a816618"),
        ),
        read=by_kind({"hub": _read}),
        prompts={"sightline": letter_answer},
        scorers=CHOICE.scorers,
        metrics=CHOICE.metrics,
        max_new_tokens=16,
        default_prompt="sightline",
        example=CHOICE_EXAMPLE,
        licence="MIT",
        paper="Chia et al. 2024, arXiv 2403.13315",
        note="Published scores were taken with prompts that ask for an explanation first.",
    )
}
