"""Score a task: verdicts by profile, metrics with intervals, unparsed and failed answers, baselines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sightline.errors import ConfigError, nearest
from sightline.evaluation.metrics.intervals import bounds, metric_interval
from sightline.evaluation.requests import Asking, best_option, scored_options
from sightline.evaluation.task import Metric, Task
from sightline.scoring.records import Item, Judged, Verdict
from sightline.types import Answer, Interval

_YES_NO = ("yes", "no")
_ENDLESS_NUMBER = re.compile(r"\d{300}")  # a float ends at 309 digits


@dataclass(frozen=True)
class MetricScore:
    """A metric with its 95% interval, clustered by picture.

    Attributes:
        bounds: the metric if every item without a readable answer were wrong, and if every one were right.
    """

    name: str
    interval: Interval
    scale: float
    bounds: tuple[float, float]


@dataclass(frozen=True)
class TaskScores:
    """What an answerer made of a task.

    Attributes:
        metrics: those of the profile, the headline first.
        categories: the headline, or what it names in its place, per category, in order of first appearance; empty
            where there are none.
        unparsed: items whose answer the profile could not read; they count as wrong.
        errors: items that got no answer; they count as wrong, too.
    """

    task: str
    profile: str
    judged: tuple[Judged, ...]
    metrics: tuple[MetricScore, ...]
    categories: Mapping[str, MetricScore]
    unparsed: int
    errors: int


@dataclass(frozen=True)
class Majority:
    """What someone scores who looks at nothing, and always gives the most frequent gold answer of a category.

    Attributes:
        answers: that answer by category; that of items without one is under "".
    """

    answers: Mapping[str, str]
    scores: TaskScores


def check_profile(task: Task, profile: str) -> str:
    """The profile to score a task by, its default where `profile` is empty.

    Raises:
        ConfigError: the task has no such profile.
    """
    name = profile or task.default_profile
    if name not in task.scorers:
        raise ConfigError(
            f"--profile: {task.name} is scored by {', '.join(task.scorers)}; got '{name}'. "
            f"{nearest(name, task.scorers) or 'Choose one of these, or leave the flag out.'}"
        )
    return name


def judge_items(
    task: Task, items: Iterable[Item], answers: Iterable[Answer], profile: str, asking: Asking
) -> list[Judged]:
    """Each item with its verdict: by the profile's scorer, or by its likeliest option."""
    scorer = task.scorers[profile]
    judged = []
    for item, answer in zip(items, answers, strict=True):
        if answer.error:
            judged.append(Judged(item, "", Verdict(0.0, None), answer.error))
        elif answer.options:
            judged.append(_judge_options(item, answer, asking, scorer))
        else:
            judged.append(Judged(item, answer.text, _verdict(scorer, item, answer.text)))
    return judged


def _verdict(scorer: Callable[[Item, str], Verdict], item: Item, text: str) -> Verdict:
    """The scorer's; unparsed where an answer has a number of more digits than Python reads as one (4,300)."""
    try:
        return scorer(item, text)
    except (ValueError, OverflowError):
        if _ENDLESS_NUMBER.search(text):
            return Verdict(0.0, None)
        raise


def score_task(task: Task, judged: Sequence[Judged], profile: str) -> TaskScores:
    """The metrics of judged items, overall and the headline per category. Raises ConfigError where there is no item."""
    if not judged:
        raise ConfigError(f"{task.name}: there are no items to score. Raise --limit, or look at its rows.")
    metrics = task.metrics[profile]
    names = dict.fromkeys(one.item.category for one in judged if one.item.category)
    in_category = metrics[0].per_category or metrics[0]
    per_category = {name: [one for one in judged if one.item.category == name] for name in names}
    return TaskScores(
        task=task.name,
        profile=profile,
        judged=tuple(judged),
        metrics=tuple(_score(metric, judged) for metric in metrics),
        categories={name: _score(in_category, members) for name, members in per_category.items()},
        unparsed=sum(one.verdict.parsed is None and not one.error for one in judged),
        errors=sum(bool(one.error) for one in judged),
    )


def majority_baseline(task: Task, items: Sequence[Item], profile: str) -> Majority | None:
    """The baseline of items whose answers are closed; None where they are open.

    Closed are options, yes and no, and any other answers of which each is that of two items on average. They are
    counted in the items themselves, whatever their case, of several golds of an item the most frequent one; of answers
    that are equally frequent the first in the alphabet is taken.
    """
    if not all(item.answers for item in items):
        return None
    golds = [_usual_gold(item) for item in items]
    plain = {gold.lower() for gold in golds}
    always_closed = all(item.options or gold.lower() in _YES_NO for item, gold in zip(items, golds, strict=True))
    if not always_closed and 2 * len(plain) > len(items):
        return None
    counts: dict[str, Counter[str]] = {}
    for item, gold in zip(items, golds, strict=True):
        counts.setdefault(item.category, Counter())[gold.lower()] += 1
    written = {gold.lower(): gold for gold in reversed(golds)}
    answers = {category: written[_most_frequent(counted)] for category, counted in counts.items()}
    said = [Answer(answers[item.category]) for item in items]
    return Majority(answers, score_task(task, judge_items(task, items, said, profile, Asking()), profile))


def _usual_gold(item: Item) -> str:
    """The most frequent of an item's gold answers, the first of several."""
    golds = [gold.strip() for gold in item.answers]
    (usual, _), *_ = Counter(map(str.lower, golds)).most_common(1)
    return next(gold for gold in golds if gold.lower() == usual)


def _most_frequent(counts: Counter[str]) -> str:
    """The answer counted most; of several the first in the alphabet, so that the order of items decides nothing."""
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _judge_options(item: Item, answer: Answer, asking: Asking, scorer: Callable[[Item, str], Verdict]) -> Judged:
    options = scored_options(item, asking.likelihood_of)
    best = best_option(answer, options, asking.likelihood_norm)
    if not item.options:
        return Judged(item, options[best], scorer(item, options[best]))
    letter = chr(65 + best)
    return Judged(item, letter, Verdict(float(letter in item.answers), letter))


def _score(metric: Metric, judged: Sequence[Judged]) -> MetricScore:
    return MetricScore(metric.name, metric_interval(metric, judged), metric.scale, bounds(metric, judged))
