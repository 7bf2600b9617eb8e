"""Whether preference pairs prefer length: how many words longer the chosen answers are, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.data.checking.duplicates import row_contents
from sightline.data.checking.findings import Example, Findings
from sightline.data.checking.rows import RowCheck
from sightline.data.checking.scan import Scan
from sightline.types import Interval

LARGE_SHARE = 0.6


@dataclass(frozen=True)
class LengthBias:
    """Lengths of the two answers of preference pairs, with intervals clustered by picture.

    Attributes:
        extra_words: how many words longer the chosen answer is, on average.
        longer_share: how often it is the longer one, among pairs whose lengths differ; None where none do.
    """

    pairs: int
    extra_words: Interval
    longer_share: Interval | None


def length_bias(rows: RowCheck, found: Scan, findings: Findings) -> LengthBias | None:
    """The bias of all pairs, or None where the rows hold none; noted where length alone tells most pairs apart."""
    if not rows.extra_words:
        return None
    from sightline.stats.intervals import clustered_mean  # scipy takes half a second to load

    clusters = [row_contents(found, row) or ("row", row) for row in rows.pair_rows]
    extra = clustered_mean(rows.extra_words, clusters)
    uneven = [(words > 0, cluster) for words, cluster in zip(rows.extra_words, clusters, strict=True) if words]
    longer = clustered_mean(*map(list, zip(*uneven, strict=True))) if uneven else None
    if longer and abs(longer.value - 0.5) > LARGE_SHARE - 0.5 and not longer.low <= 0.5 <= longer.high:
        is_longer = longer.value > 0.5
        share = 100 * max(longer.value, 1 - longer.value)
        detail = f"chosen is the {'longer' if is_longer else 'shorter'} one in {share:.0f}% of pairs of unlike length"
        findings.add("length_bias", Example("", detail), sum(one is is_longer for one, _ in uneven))
    return LengthBias(len(rows.extra_words), extra, longer)
