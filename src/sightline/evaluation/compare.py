"""Two results on the same items: paired difference, overall and per kind, and the items that changed."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import DataError
from sightline.evaluation.results import EvalResult, percent
from sightline.stats.paired import mcnemar_exact, paired_difference
from sightline.types import Interval, ItemResult, Table


@dataclass(frozen=True)
class ItemPair:
    """One item before and after."""

    before: ItemResult
    after: ItemResult


@dataclass(frozen=True)
class Comparison:
    """What changed from one result to another, in shares of the items both have.

    Attributes:
        difference: after minus before, clustered by picture.
        kinds: the same per question kind.
        p_value: of McNemar's exact test.
    """

    before: str
    after: str
    difference: Interval
    kinds: dict[str, Interval]
    p_value: float
    pairs: tuple[ItemPair, ...]

    @property
    def improved(self) -> tuple[ItemPair, ...]:
        """Better after than before."""
        return tuple(pair for pair in self.pairs if pair.after.score > pair.before.score)

    @property
    def worsened(self) -> tuple[ItemPair, ...]:
        """Worse after than before."""
        return tuple(pair for pair in self.pairs if pair.after.score < pair.before.score)


def compare(before: EvalResult, after: EvalResult) -> Comparison:
    """Pair the items by id.

    Raises:
        DataError: no item in common, or one that asks something else.
    """
    pairs = _pair(before, after)
    kinds = dict.fromkeys(pair.after.kind for pair in pairs if pair.after.kind)
    return Comparison(
        before=before.label,
        after=after.label,
        difference=_difference(pairs),
        kinds={kind: _difference([pair for pair in pairs if pair.after.kind == kind]) for kind in kinds},
        p_value=mcnemar_exact([pair.before.score for pair in pairs], [pair.after.score for pair in pairs]),
        pairs=tuple(pairs),
    )


def comparison_table(before: EvalResult, after: EvalResult, comparison: Comparison) -> Table:
    """Accuracy before and after per kind, with the paired difference in points and whether it may be chance."""
    header = ("kind", "before", "after", "change in points", "95% interval")
    rows = [
        (kind, percent(before.kinds[kind].value), percent(after.kinds[kind].value), *_points(change))
        for kind, change in comparison.kinds.items()
    ]
    rows.append(("all", percent(before.accuracy.value), percent(after.accuracy.value), *_points(comparison.difference)))
    caption = (
        f"{len(comparison.improved)} items improved, {len(comparison.worsened)} worsened of {len(comparison.pairs)}; "
        f"McNemar's exact test p = {comparison.p_value:.2g}"
    )
    return Table(f"{before.label} against {after.label}", header, tuple(rows), caption)


def _pair(before: EvalResult, after: EvalResult) -> list[ItemPair]:
    earlier = {item.id: item for item in before.items}
    pairs = [ItemPair(earlier[item.id], item) for item in after.items if item.id in earlier]
    if not pairs:
        raise DataError(
            f"{before.label} and {after.label} have no item in common. "
            "Expected results on the same rows, with the same ids."
        )
    for pair in pairs:
        if (pair.before.question, pair.before.image_key) != (pair.after.question, pair.after.image_key):
            raise DataError(
                f"Item '{pair.after.id}' asks '{pair.before.question}' in {before.label}, but '{pair.after.question}' "
                f"(or about another picture) in {after.label}. Expected results on the same rows."
            )
    return pairs


def _difference(pairs: list[ItemPair]) -> Interval:
    return paired_difference(
        [pair.before.score for pair in pairs],
        [pair.after.score for pair in pairs],
        [pair.after.image_key or f"item {pair.after.id}" for pair in pairs],
    )


def _points(change: Interval) -> tuple[str, str]:
    return f"{100 * change.value:+.1f}", f"{100 * change.low:+.1f} to {100 * change.high:+.1f}"
