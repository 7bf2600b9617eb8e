"""PuzzleVQA: what is missing in a drawn pattern, among three or four options."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.evaluation.task import Item, Row, Source, Task
from sightline.evaluation.tasks.cells import by_kind, letter_of, optional, pictures, text, texts
from sightline.evaluation.tasks.prompts import letter_answer


def _read_file(row: Row) -> Iterator[Item]:
    yield _item(row, text(row, "id"), texts(row, "choices"), optional(row, "puzzle"))


def _read_hub(row: Row) -> Iterator[Item]:
    yield _item(row, str(row.number), texts(row, "options"), optional(row, "category"))


def _item(row: Row, identity: str, options: tuple[str, ...], puzzle: str) -> Item:
    return Item(
        id=identity,
        name=row.name,
        question=text(row, "question"),
        pictures=pictures(row, "image"),
        options=options,
        answers=(letter_of(row, text(row, "answer"), options),),
        category=puzzle,
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
            Source(
                "hub", "declare-lab/PuzzleVQA", split="train", revision="cc5c866d99edfb0b8cdc088d46200b719a816618"
            ),
        ),
        read=by_kind({"file": _read_file, "hub": _read_hub}),
        prompts={"sightline": letter_answer},
        scorers={},
        metrics={},
        max_new_tokens=16,
        default_prompt="sightline",
        licence="MIT",
        paper="Chia et al. 2024, arXiv 2403.13315",
        note="Published scores were taken with prompts that ask for an explanation first.",
    )
}
