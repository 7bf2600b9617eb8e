"""Where a model stands: questions answered, and descriptions without an invented or missing object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sightline.answering.asking import Progress
from sightline.data.worlds.descriptions import description_errors
from sightline.data.worlds.scene import Scene
from sightline.evaluation.results import EvalResult, summarise
from sightline.evaluation.vqa import answer_rows, evaluate
from sightline.types import Answerer, ItemResult, VqaRow

MAX_ANSWER_TOKENS = 8
MAX_DESCRIPTION_TOKENS = 72


@dataclass(frozen=True)
class Exam:
    """What models are asked.

    Attributes:
        questions: rows with one right answer each.
        descriptions: one row per scene, its true description the answer.
        scenes: what each described picture holds, in the order of `descriptions`.
    """

    questions: Sequence[VqaRow]
    descriptions: Sequence[VqaRow]
    scenes: Sequence[Scene]


@dataclass(frozen=True)
class Standing:
    """What a model made of an exam.

    Attributes:
        questions: an item is right if the answer matches.
        descriptions: an item is right if it has no invented and no missing object.
    """

    questions: EvalResult
    descriptions: EvalResult


def find_standing(label: str, answerer: Answerer, exam: Exam, progress: Progress) -> Standing:
    """The standing of `answerer`, called `label` in tables."""
    total = len(exam.questions) + len(exam.descriptions)
    asked = evaluate(answerer, exam.questions, False, MAX_ANSWER_TOKENS, lambda done, _: progress(done, total))
    described = answer_rows(
        exam.descriptions,
        answerer,
        max_new_tokens=MAX_DESCRIPTION_TOKENS,
        progress=lambda done, _: progress(len(exam.questions) + done, total),
    )
    return Standing(replace(asked, label=label), judge_descriptions(label, described, exam.scenes))


def judge_descriptions(label: str, items: Iterable[ItemResult], scenes: Iterable[Scene]) -> EvalResult:
    """The share of descriptions that name every object of their scene and no other."""
    judged = (
        replace(item, kind=_sort_of(scene), score=float(not description_errors(scene, item.prediction).objects_differ))
        for item, scene in zip(items, scenes, strict=True)
    )
    return summarise(label, judged)


def error_shares(descriptions: EvalResult) -> EvalResult:
    """The same descriptions with score 1 where an object is invented or missing."""
    items = (replace(item, score=1 - item.score) for item in descriptions.items)
    return summarise(descriptions.label, items)


def _sort_of(scene: Scene) -> str:
    if scene.chart:
        return "bar chart"
    return "shapes and a word" if scene.word else "shapes"
