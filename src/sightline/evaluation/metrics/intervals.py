"""Intervals of any metric and of a difference, and bounds by unparsed answers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

from sightline.evaluation.task import Metric
from sightline.scoring.records import Judged, Verdict
from sightline.stats.intervals import (
    PairedSpread,
    cluster_bootstrap,
    cluster_bootstrap_of,
    clustered_mean,
    normal_quantile,
    paired_bootstrap_spread,
    paired_cluster_bootstrap,
)
from sightline.stats.paired import paired_difference, paired_p_value, standard_error_of_difference
from sightline.types import Interval


def metric_interval(metric: Metric, judged: Sequence[Judged]) -> Interval:
    """The metric with its 95% interval: clustered for means, else percentiles of a cluster bootstrap.

    2,000 resamples where the metric is a function of sums, 200 where it must be computed anew for each.
    """
    if counted := _counted(metric, judged):
        return clustered_mean([one.verdict.score for one in counted], [cluster_of(one) for one in counted])
    clusters = [cluster_of(one) for one in judged]
    if metric.sums is not None and metric.combine is not None:
        return cluster_bootstrap(metric.sums(judged), clusters, metric.combine)
    return cluster_bootstrap_of(lambda items: metric.value([judged[item] for item in items]), clusters)


def metric_difference(metric: Metric, before: Sequence[Judged], after: Sequence[Judged]) -> Interval:
    """The metric after minus the metric before on the same items in the same order, with its paired 95% interval."""
    if [one.item.id for one in before] != [one.item.id for one in after]:
        raise ValueError("A paired difference needs the same items in the same order on both sides.")
    if counted := _counted(metric, after):
        return paired_difference(*_scores(_counted(metric, before), counted), [cluster_of(one) for one in counted])
    clusters = [cluster_of(one) for one in after]
    if metric.sums is not None and metric.combine is not None:
        return paired_cluster_bootstrap(metric.sums(before), metric.sums(after), clusters, metric.combine)
    return cluster_bootstrap_of(
        lambda items: metric.value([after[item] for item in items]) - metric.value([before[item] for item in items]),
        clusters,
    )


def difference_spread(metric: Metric, before: Sequence[Judged], after: Sequence[Judged]) -> PairedSpread:
    """p-value and standard error of `metric_difference`.

    Student's t for means, the same resamples as the interval's for metrics of sums; for any other the standard error
    is read off the width of the interval.
    """
    if counted := _counted(metric, after):
        scores, clusters = _scores(_counted(metric, before), counted), [cluster_of(one) for one in counted]
        error = standard_error_of_difference(*scores, clusters) if len(set(clusters)) > 1 else math.nan
        return PairedSpread(paired_p_value(*scores, clusters), error)
    clusters = [cluster_of(one) for one in after]
    if metric.sums is not None and metric.combine is not None:
        return paired_bootstrap_spread(metric.sums(before), metric.sums(after), clusters, metric.combine)
    change = metric_difference(metric, before, after)
    error = (change.high - change.low) / (2 * normal_quantile())
    return PairedSpread(math.erfc(abs(change.value) / error / math.sqrt(2)) if error else 1.0, error)


def _counted(metric: Metric, judged: Sequence[Judged]) -> list[Judged]:
    """The items that a mean is the mean of; none for other metrics."""
    if not metric.mean:
        return []
    return [one for one in judged if metric.over is None or metric.over(one.item)]


def cluster_of(one: Judged) -> Hashable:
    """What the item names as its cluster, or its first picture; a group or the item itself where there is none."""
    if "cluster" in one.item.facts:
        return f"cluster {one.item.facts['cluster']}"
    if one.item.pictures:
        return one.item.pictures[0].key
    return f"group {one.item.group}" if one.item.group else f"item {one.item.id}"


def _scores(before: Sequence[Judged], after: Sequence[Judged]) -> tuple[list[float], list[float]]:
    return [one.verdict.score for one in before], [one.verdict.score for one in after]


_OPPOSITE = {"yes": "no", "no": "yes"}


def bounds(metric: Metric, judged: Sequence[Judged]) -> tuple[float, float]:
    """(all unparsed wrong, all unparsed right)."""
    return metric.value([_as_wrong(one) for one in judged]), metric.value([_as_right(one) for one in judged])


def _as_right(one: Judged) -> Judged:
    return replace(one, verdict=Verdict(1.0, one.item.answers[0])) if one.verdict.parsed is None else one


def _as_wrong(one: Judged) -> Judged:
    """For yes/no questions the wrong answer is said, so that false alarms count in precision."""
    gold = one.item.answers[0].strip().lower()
    return replace(one, verdict=Verdict(0.0, _OPPOSITE.get(gold, ""))) if one.verdict.parsed is None else one
