"""Samples of a run as a report's browser shows them."""

from __future__ import annotations

from collections.abc import Iterable

from sightline.evaluation.samples import Sample
from sightline.pages.browser import ShownAnswer, ShownSample


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
