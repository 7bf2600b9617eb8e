"""ScienceQA-IMG (test): school science questions that come with a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import SCIENCEQA
from sightline.evaluation.task import Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item

_FACTS = ("hint", "grade", "subject", "topic", "skill")


def _read_hub(row: Row) -> Iterator[Item]:
    options = cells.listed_options(row, "choices")
    yield _item(row, str(row.number), options, cells.letter_at(row, cells.cell(row, "answer"), options), "subject")


def _read_tsv(row: Row) -> Iterator[Item]:
    options = cells.lettered_options(row)
    yield _item(row, cells.text(row, "index"), options, cells.gold_letter(row, "answer", options), "category")


def _item(row: Row, identity: str, options: tuple[str, ...], gold: str, category: str) -> Item:
    return cells.asked_item(
        row,
        identity,
        (gold,),
        options=options,
        category=cells.optional(row, category),
        facts={name: cells.optional(row, name) for name in _FACTS},
    )


def _lmms_eval(item: Item) -> str:
    hint = item.facts["hint"]
    return f"Context: {hint}\n{prompts.letter_answer(item)}" if hint else prompts.letter_answer(item)


_EXAMPLE = replace(prompts.CHOICE_EXAMPLE, facts={"hint": "Look at the sign."})

TASKS = {
    "scienceqa_img": Task(
        name="scienceqa_img",
        title="ScienceQA-IMG, test",
        rows=2017,
        sources=(
            *prompts.lmms_eval_datasets("ScienceQA", "test", "ScienceQA-IMG"),
            prompts.vlmevalkit_file("benchmarks/ScienceQA/ScienceQA_TEST.tsv", "e42e9e00f9c59a80d8a5db35bc32b71f"),
        ),
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "lmms-eval": _lmms_eval,
            "vlmevalkit": prompts.vlmevalkit_choice,
            "model-card:llava-1.5": _lmms_eval,
            "model-card:qwen2-vl": prompts.qwen2_vl_choice,
        },
        scorers=SCIENCEQA.scorers,
        metrics=SCIENCEQA.metrics,
        max_new_tokens=16,
        default_prompt="lmms-eval",
        example=_EXAMPLE,
        licence="CC-BY-NC-SA-4.0",
        paper="Lu et al. 2022, arXiv 2209.09513",
    )
}
