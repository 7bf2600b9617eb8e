"""What a metric could be if every unparsed answer were right, and if every one were wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline.evaluation.task import Metric
from sightline.scoring.records import Judged, Verdict

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
