"""Samples for a report's browser, with small copies of their images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sightline.errors import DataError, InputError
from sightline.evaluation.samples import Sample
from sightline.evaluation.sources import open_rows
from sightline.evaluation.task import Source
from sightline.evaluation.tasks.registry import load_task
from sightline.pages.browser import ShownAnswer, ShownSample
from sightline.types import Picture


def shown_sample(sample: Sample, tag: str, answers: Iterable[ShownAnswer]) -> ShownSample:
    """A sample with its answers under a tag."""
    return ShownSample(
        tag=tag,
        task=sample.task,
        id=sample.id,
        category=sample.category,
        question=sample.question,
        prompt=sample.transcript,
        options=sample.options,
        gold=sample.answers,
        pictures=sample.pictures,
        answers=tuple(answers),
    )


def shown_with_blind(sample: Sample) -> ShownSample:
    """A sample under its status, with its answer, and the one without pictures where there is one."""
    answers = [shown_answer(sample)]
    if sample.blind is not None:
        blind = {name: getattr(sample.blind, name) for name in ("prediction", "parsed", "score", "error")}
        answers = [shown_answer(sample, "with pictures"), shown_answer(replace(sample, **blind), "without pictures")]
    return shown_sample(sample, status_of(sample), answers)


def shown_answer(sample: Sample, label: str = "") -> ShownAnswer:
    """The answer of a sample with its status."""
    return ShownAnswer(label, sample.error or sample.prediction, sample.parsed, status_of(sample))


def status_of(sample: Sample) -> str:
    """One of `STATUSES`."""
    if sample.error:
        return "error"
    if sample.parsed is None:
        return "unparsed"
    return "right" if sample.score >= 1 else "wrong" if sample.score <= 0 else "partly"


@dataclass(frozen=True)
class FoundPictures:
    """Pictures by content key, and why those of some tasks are missing; empty where none is."""

    pictures: Mapping[str, Picture]
    note: str = ""


def find_pictures(data: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Collection[str]]) -> FoundPictures:
    """The wanted pictures of each task, from the rows that a run's `results.json` names as the task's `data`."""
    found: dict[str, Picture] = {}
    notes = []
    for task, keys in wanted.items():
        try:
            found |= _pictures_of(task, data[task], keys)
        except InputError as error:
            reason = str(error).split("\n")[0]
            notes.append(f"{task}: pictures are missing, as its rows cannot be read from here. {reason}")
    return FoundPictures(found, " ".join(notes))


def _pictures_of(task: str, data: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Picture]:
    record, missing = load_task(task), set(wanted)
    found: dict[str, Picture] = {}
    known = ("kind", "place", "config", "split", "revision", "columns", "image_folder")
    source = Source(**{name: data[name] for name in known if name in data})  # runs of before recorded less
    table = open_rows(record, source)
    for index in range(len(table)):
        if not missing:
            break
        try:
            items = list(record.read(source.kind, [table.row(index)]))
        except DataError:  # the run has left this row out, too
            continue
        found |= {picture.key: picture for item in items for picture in item.pictures if picture.key in missing}
        missing -= found.keys()
    return found
