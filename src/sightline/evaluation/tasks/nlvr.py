"""NLVR (version 1): whether a sentence about three drawn boxes is true."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import EXACT
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.cells import asked_item, by_kind, letter_of, optional, text, truth
from sightline.scoring.records import Item

_OPTIONS = ("true", "false")


def _read(row: Row) -> Iterator[Item]:
    identifier = optional(row, "identifier")
    # Up to four sentences were written about one presentation, and each shows its boxes in six orders.
    presentation = {"cluster": identifier.partition("-")[0]} if identifier else {}
    yield asked_item(
        row,
        text(row, "id"),
        (letter_of(row, truth(row, "answer").lower(), _OPTIONS),),
        options=_OPTIONS,
        facts={"sentence": identifier, **presentation},
    )


def _prompt(item: Item) -> str:
    return f"{item.question}\nIs this sentence about the picture true or false? Answer true or false."


_EXAMPLE = Item("example", "example", "There is a black item in every box.", options=_OPTIONS)

TASKS = {
    "nlvr_v1": Task(
        name="nlvr_v1",
        title="NLVR, version 1",
        sources=(Source("file", "nlvr_v1/eval_dev.jsonl", address="https://github.com/lil-lab/nlvr (folder nlvr)"),),
        read=by_kind({"hub": _read}),
        prompts={"sightline": _prompt},
        scorers=EXACT.scorers,
        metrics=EXACT.metrics,
        max_new_tokens=8,
        default_prompt="sightline",
        example=_EXAMPLE,
        licence="CC-BY-4.0",
        paper="Suhr et al. 2017, ACL",
        note="The majority answer is right in 55.3% of dev, 56.2% of test-P, 55.4% of test-U. "
        "Rows: id, image, question (the sentence), answer (true or false), identifier of the sentence.",
    )
}
