"""Pair two runs' samples by item, and compute how a task's metrics changed: interval, tests, items needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sightline.errors import DataError
from sightline.evaluation.metrics.intervals import difference_spread, metric_difference
from sightline.evaluation.samples import Sample, item_of
from sightline.evaluation.task import Metric
from sightline.scoring.records import Judged, Verdict
from sightline.stats.paired import items_for_error, mcnemar_exact
from sightline.types import Interval


@dataclass(frozen=True)
class SamplePair:
    """One item in run A and in run B."""

    before: Sample
    after: Sample

    @property
    def change(self) -> float:
        """Score in B minus score in A."""
        return self.after.score - self.before.score


@dataclass(frozen=True)
class PairedSamples:
    """The items of a task that both runs hold, in the order of run A.

    Attributes:
        only_before, only_after: items that the other run lacks.
        asked_otherwise: items of one id whose question, options or gold answers differ; they are not compared.
    """

    pairs: tuple[SamplePair, ...]
    only_before: int = 0
    only_after: int = 0
    asked_otherwise: int = 0

    @property
    def before(self) -> list[Judged]:
        """The items as run A's profile judged them."""
        return [_judged(pair.before) for pair in self.pairs]

    @property
    def after(self) -> list[Judged]:
        """The items as run B's profile judged them."""
        return [_judged(pair.after) for pair in self.pairs]

    @property
    def improved(self) -> tuple[SamplePair, ...]:
        """Better in B than in A."""
        return tuple(pair for pair in self.pairs if pair.change > 0)

    @property
    def worsened(self) -> tuple[SamplePair, ...]:
        """Worse in B than in A."""
        return tuple(pair for pair in self.pairs if pair.change < 0)


def pair_samples(task: str, before: Iterable[Sample], after: Iterable[Sample]) -> PairedSamples:
    """Pairs by id of the items that ask the same. Raises DataError where there is none."""
    first = {sample.id: sample for sample in before}
    second = {sample.id: sample for sample in after}
    common = [SamplePair(sample, second[key]) for key, sample in first.items() if key in second]
    pairs = tuple(pair for pair in common if _asked(pair.before) == _asked(pair.after))
    if not pairs:
        raise DataError(
            f"{task}: the runs have no item in common: {_some(first)} in A, {_some(second)} in B"
            + (f"; {len(common)} ids are alike, but ask something else" if common else "")
            + ". Compare runs on the same data."
        )
    return PairedSamples(
        pairs=pairs,
        only_before=len(first) - len(common),
        only_after=len(second) - len(common),
        asked_otherwise=len(common) - len(pairs),
    )


def _asked(sample: Sample) -> tuple[object, ...]:
    return sample.question, sample.options, sample.answers


def _some(samples: dict[str, Sample]) -> str:
    names = ", ".join(list(samples)[:3])
    return f"{len(samples)} items ({names}{', ...' if len(samples) > 3 else ''})"


def _judged(sample: Sample) -> Judged:
    return Judged(item_of(sample), sample.prediction, Verdict(sample.score, sample.parsed), sample.error)


@dataclass(frozen=True)
class Change:
    """A metric in A and in B on the same items, and B minus A with its 95% interval."""

    before: float
    after: float
    difference: Interval
    improved: int
    worsened: int


@dataclass(frozen=True)
class TaskChange:
    """What changed in a task.

    Attributes:
        metric: name of the headline metric, of run A's profile.
        scale: what full marks are: 1 for shares.
        p_value: that there is no difference, from the same spread as the interval.
        p_holm: the same, corrected for the number of tasks.
        mcnemar: p-value of McNemar's exact test over items; None where scores are not 0 or 1.
        detect: a difference worth seeing, in shares of full marks.
        items_needed: items on which a true difference of `detect` is found in 80 of 100 runs; None where the spread of
            these items does not say.
        categories: the metric, or what stands for it there, per category, uncorrected.
        category_scale: what full marks of a category are.
    """

    task: str
    title: str
    metric: str
    scale: float
    overall: Change
    p_value: float
    p_holm: float
    mcnemar: float | None
    detect: float
    items_needed: int | None
    categories: Mapping[str, Change]
    samples: PairedSamples
    category_scale: float = 1.0


def task_change(task: str, title: str, metric: Metric, samples: PairedSamples, detect: float) -> TaskChange:
    """The change of `metric` over paired samples; `p_holm` is that of a single task."""
    before, after = samples.before, samples.after
    spread = difference_spread(metric, before, after)
    names = dict.fromkeys(pair.after.category for pair in samples.pairs if pair.after.category)
    members = {name: tuple(pair for pair in samples.pairs if pair.after.category == name) for name in names}
    error = spread.standard_error
    in_category = metric.per_category or metric
    known = math.isfinite(error) and error > 0
    return TaskChange(
        task=task,
        title=title,
        metric=metric.name,
        scale=metric.scale,
        overall=_change(metric, samples.pairs),
        p_value=spread.p_value,
        p_holm=spread.p_value,
        mcnemar=_mcnemar(samples.pairs),
        detect=detect,
        items_needed=items_for_error(len(after), error, detect * metric.scale) if known else None,
        categories={name: _change(in_category, pairs) for name, pairs in members.items()},
        samples=samples,
        category_scale=in_category.scale,
    )


def _change(metric: Metric, pairs: Sequence[SamplePair]) -> Change:
    samples = PairedSamples(tuple(pairs))
    before, after = samples.before, samples.after
    return Change(
        before=metric.value(before),
        after=metric.value(after),
        difference=metric_difference(metric, before, after),
        improved=len(samples.improved),
        worsened=len(samples.worsened),
    )


def _mcnemar(pairs: Sequence[SamplePair]) -> float | None:
    before, after = [pair.before.score for pair in pairs], [pair.after.score for pair in pairs]
    return mcnemar_exact(before, after) if {*before, *after} <= {0.0, 1.0} else None
