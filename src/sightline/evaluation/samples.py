"""The record of one item in samples.jsonl: prompt, answer, what was read, score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from sightline.errors import DataError
from sightline.evaluation.task import JudgeNote
from sightline.runs import plain_data
from sightline.scoring.records import Item, Judged
from sightline.types import Answer, OptionScore, Turn

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class BlindSample:
    """What was said of an item without its pictures, read and scored as `Sample` says."""

    prediction: str
    score: float
    parsed: str | None
    error: str = ""
    option_scores: tuple[OptionScore, ...] = ()


@dataclass(frozen=True)
class Sample:
    """An item of a run, with all that scoring it again needs.

    Attributes:
        prompt: the text of the user's turn, before the model's chat template.
        pictures: content keys.
        prediction: the answer as it came; for a likelihood, the letter or word that was likeliest.
        parsed: what the profile read out of it; None where it could read nothing.
        option_scores: log-probability and tokens of each option, by likelihood.
        blind: the same without the pictures, where that was asked.
        judge: model, prompt and words of a judge, where one was asked.
        finish_reason: why the prediction ended, where that was told.
        turns: what was said before the question.
    """

    task: str
    id: str
    name: str
    question: str
    prompt: str
    options: tuple[str, ...]
    answers: tuple[str, ...]
    category: str
    group: str
    pictures: tuple[str, ...]
    prediction: str
    parsed: str | None
    score: float
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    option_scores: tuple[OptionScore, ...] = ()
    blind: BlindSample | None = None
    judge: JudgeNote | None = None
    finish_reason: str = ""
    turns: tuple[Turn, ...] = ()

    @property
    def transcript(self) -> str:
        """The prompt with the turns before it, a line each, where there are any."""
        return "\n".join([*(f"{turn.role}: {turn.text}" for turn in self.turns), self.prompt])


# What a sample has of its item as it is; of pictures it has the keys.
OF_ITEM = ("id", "name", "question", "options", "answers", "category", "group", "facts", "turns")
BlindAnswer = tuple[Judged, Answer]


@dataclass(frozen=True)
class KnownPicture:
    """A picture of which a run's files hold the key alone."""

    key: str

    def open(self) -> Image:
        raise DataError(f"The picture {self.key} is not among the files of a run. Read it from the task's data.")


def sample_of(
    task: str, judged: Judged, prompt: str, answer: Answer, blind: BlindAnswer | None, note: JudgeNote | None
) -> Sample:
    """The sample of a judged item."""
    item = judged.item
    return Sample(
        **{name: getattr(item, name) for name in OF_ITEM},
        task=task,
        prompt=prompt,
        pictures=tuple(picture.key for picture in item.pictures),
        prediction=judged.answer,
        parsed=judged.verdict.parsed,
        score=judged.verdict.score,
        error=judged.error,
        option_scores=answer.options,
        blind=_blind_sample(*blind) if blind is not None else None,
        judge=note,
        finish_reason=answer.finish_reason,
    )


def item_of(sample: Sample) -> Item:
    """The item that a sample was made of; its pictures have keys only."""
    pictures = tuple(KnownPicture(key) for key in sample.pictures)
    return Item(**{name: getattr(sample, name) for name in OF_ITEM}, pictures=pictures)


def answer_of(sample: Sample) -> Answer:
    """The answer that a sample was made of."""
    return Answer(sample.prediction, sample.error, sample.option_scores, sample.finish_reason)


def blind_answer_of(sample: Sample) -> Answer | None:
    """The answer without pictures, None where it was not asked."""
    if sample.blind is None:
        return None
    return Answer(sample.blind.prediction, sample.blind.error, sample.blind.option_scores)


def samples_text(samples: Iterable[Sample]) -> str:
    """The content of `samples.jsonl`."""
    return "".join(json.dumps(plain_data(sample), ensure_ascii=False) + "\n" for sample in samples)


def _blind_sample(judged: Judged, answer: Answer) -> BlindSample:
    return BlindSample(judged.answer, judged.verdict.score, judged.verdict.parsed, judged.error, answer.options)
