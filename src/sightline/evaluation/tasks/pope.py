"""POPE: whether an object is in a COCO picture; absent ones are drawn at random, from popular and from likely ones."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import POPE
from sightline.evaluation.task import Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item

# Source: haotian-liu/LLaVA playground/data/eval/pope/llava_pope_test.jsonl at 32cebc3.
_LLAVA_FIRST = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}


def _read_hub(row: Row) -> Iterator[Item]:
    category, question = cells.text(row, "category"), cells.text(row, "question_id")
    yield _item(row, f"{category}-{question}", category, question, _in_llava(category, question))


def _read_tsv(row: Row) -> Iterator[Item]:
    """One item per category: the file holds a question once and names all the categories it belongs to."""
    for category in cells.text(row, "category").split(","):
        index = cells.text(row, "index")
        yield _item(row, f"{category.strip()}-{index}", category.strip(), index)


def _in_llava(category: str, question: str) -> str:
    """The question's number in LLaVA's files, which count the three samplings in one row of numbers."""
    if category not in _LLAVA_FIRST or not question.isdecimal():
        return question
    return str(_LLAVA_FIRST[category] + int(question))


def _item(row: Row, identity: str, category: str, *aliases: str) -> Item:
    return cells.asked_item(
        row, identity, (cells.text(row, "answer").strip().lower(),), category=category, aliases=aliases
    )


TASKS = {
    "pope": Task(
        name="pope",
        title="POPE",
        rows=9000,
        sources=(
            *prompts.lmms_eval_datasets("POPE", "test"),
            prompts.vlmevalkit_file("POPE.tsv", "c12f5acb142f2ef1f85a26ba2fbe41d5"),
        ),
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "official": prompts.without_yes_no,
            "lmms-eval": prompts.yes_no_short_answer,
            "vlmevalkit": prompts.yes_no,
            "model-card:llava-1.5": prompts.yes_no_short_answer,
            "model-card:qwen2-vl": prompts.yes_no,
        },
        golds=("yes", "no"),
        scorers=POPE.scorers,
        metrics=POPE.metrics,
        max_new_tokens=16,
        default_prompt="lmms-eval",
        example=prompts.YES_NO_EXAMPLE,
        licence="Repository MIT; COCO's pictures under the terms of Flickr.",
        paper="Li et al. 2023, arXiv 2305.10355",
        note="5,127 of the 9,000 rows differ in picture or question; each is asked once.",
    )
}
