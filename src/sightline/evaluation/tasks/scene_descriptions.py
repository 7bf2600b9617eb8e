"""Descriptions of drawn scenes: right where every object is named and no other; `sightline demo` writes the rows."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.data.worlds.descriptions import description_errors
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.task import Source, Task, as_asked
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text
from sightline.scoring.records import Item, Verdict


def _read(row: Row) -> Iterator[Item]:
    truth = text(row, "answer")
    yield Item(
        id=optional(row, "id") or str(row.number),
        name=row.name,
        question=text(row, "question"),
        pictures=pictures(row, "image"),
        answers=(truth,),
        category="bar chart" if " bar:" in truth else "shapes and a word" if "word '" in truth else "shapes",
    )


def _score(item: Item, answer: str) -> Verdict:
    return Verdict(float(not description_errors(item.answers[0], answer).objects_differ), answer.strip() or None)


TASKS = {
    "scene_descriptions": Task(
        name="scene_descriptions",
        title="Descriptions of drawn scenes",
        sources=(Source("file", "heldout_descriptions.jsonl", address="written by `sightline demo`"),),
        read=by_kind({"hub": _read}),
        prompts={"sightline": as_asked},
        scorers={"strict": _score},
        metrics={"strict": (mean_score("accuracy"),)},
        max_new_tokens=72,
        default_prompt="sightline",
        licence="Apache-2.0",
        note="A description is right where it names every object of its scene and no other, whatever it says of their "
        "places and sizes. Rows: id, image, question, answer (the true description).",
        example=Item("example", "example", "Describe the image."),
    )
}
