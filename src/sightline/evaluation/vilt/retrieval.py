"""Recall of retrieval in both directions, exact or by a shortlist, and the loss by the shortlist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.console import percent
from sightline.data.pictures.images import open_image
from sightline.data.vilt.captions import CaptionedPicture
from sightline.errors import ConfigError
from sightline.models.vilt.matching import PairScorer
from sightline.pages.report import Card, Gallery, Headline, IntervalChart, IntervalRow, Report, Section, Verdict
from sightline.stats.intervals import clustered_mean
from sightline.types import Interval, Table

DEPTHS = (1, 5, 10)
SHOWN_TEXTS, SHOWN_PICTURES = 8, 6
TO_PICTURES, TO_TEXTS = "text to pictures", "picture to texts"


@dataclass(frozen=True)
class ShownText:
    """A text, and what it found.

    Attributes:
        own: index of the picture that it describes.
        found: indices of the best pictures with their scores, the best first.
    """

    text: str
    own: int
    found: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class RetrievalResult:
    """What a model found.

    Attributes:
        recalls: for each direction and depth the share of queries with a right one among the first so many.
        chance: the same for drawn ranks.
        candidates: pictures of each text that were scored in full; None for all.
        exact: the recalls of scoring everything, where they were asked for beside a shortlist.
        shown: some texts, evenly spread over the data, for a report.
    """

    label: str
    pictures: int
    texts: int
    recalls: dict[tuple[str, int], Interval]
    chance: dict[tuple[str, int], float]
    candidates: int | None = None
    exact: dict[tuple[str, int], Interval] = field(default_factory=dict)
    duration_s: float = 0.0
    shown: tuple[ShownText, ...] = ()


def evaluate_retrieval(
    scorer: PairScorer,
    label: str,
    rows: Sequence[CaptionedPicture],
    candidates: int | None = None,
    compare: bool = False,
) -> RetrievalResult:
    """Recall at 1, 5 and 10 of captioned pictures.

    Args:
        candidates: score in full only so many pictures of each text, those that the shortlist names.
        compare: with candidates, score everything as well, to see what the shortlist loses.

    Raises:
        ConfigError: fewer than one candidate.
    """
    if candidates is not None and candidates < 1:
        raise ConfigError(f"candidates: expected at least 1, got {candidates}.")
    start = time.perf_counter()
    pictures = scorer.embed_pictures([row.picture for row in rows], [row.name for row in rows])
    captions = [caption for row in rows for caption in row.captions]
    texts = scorer.embed_texts(captions)
    owners_M = np.repeat(np.arange(len(rows)), [len(row.captions) for row in rows])
    everything = np.ones((len(rows), len(captions)), dtype=bool)
    wanted = everything if candidates is None else scorer.shortlist(pictures, texts, candidates)
    scores_NM = scorer.score(pictures, texts, wanted)
    duration_s = time.perf_counter() - start
    exact = recalls_of(scorer.score(pictures, texts, everything), owners_M) if candidates and compare else {}
    return RetrievalResult(
        label,
        len(rows),
        len(captions),
        recalls_of(scores_NM, owners_M),
        chance_of(len(rows), np.bincount(owners_M)),
        candidates,
        exact,
        duration_s,
        _shown(scores_NM, owners_M, captions),
    )


def _shown(scores_NM: np.ndarray, owners_M: np.ndarray, captions: Sequence[str]) -> tuple[ShownText, ...]:
    """Texts evenly spread over the data, each with its best pictures."""
    shown = []
    for column in range(0, len(captions), max(1, len(captions) // SHOWN_TEXTS))[:SHOWN_TEXTS]:
        scores = scores_NM[:, column]
        best = [index for index in np.argsort(-scores, kind="stable")[:SHOWN_PICTURES] if np.isfinite(scores[index])]
        found = tuple((int(index), float(scores[index])) for index in best)
        shown.append(ShownText(captions[column], int(owners_M[column]), found))
    return tuple(shown)


def recalls_of(scores_NM: np.ndarray, owners_M: np.ndarray) -> dict[tuple[str, int], Interval]:
    """Recalls in both directions; ties count against the right one, and a pair that was not scored is not found.

    Intervals are clustered by picture.

    Args:
        scores_NM: score of each picture with each text; minus infinity where there is none.
        owners_M: the picture that each text describes.
    """
    own_M = scores_NM[owners_M, np.arange(len(owners_M))]
    found_M = np.isfinite(own_M)
    picture_ranks_M = np.where(found_M, (scores_NM >= own_M).sum(axis=0), np.inf)
    text_ranks_M = np.where(found_M, (scores_NM[owners_M] >= own_M[:, None]).sum(axis=1), np.inf)
    first_text_N = np.full(len(scores_NM), np.inf)
    # Of a picture's own texts the best counts; texts of its own that rank before it are no mistakes, but 1 is enough.
    np.minimum.at(first_text_N, owners_M, text_ranks_M)
    described = np.unique(owners_M)
    recalls = {}
    for depth in DEPTHS:
        recalls[TO_PICTURES, depth] = clustered_mean((picture_ranks_M <= depth).tolist(), owners_M.tolist())
        recalls[TO_TEXTS, depth] = clustered_mean((first_text_N[described] <= depth).tolist(), described.tolist())
    return recalls


def chance_of(pictures: int, texts_N: np.ndarray) -> dict[tuple[str, int], float]:
    """Recalls of ranks drawn by chance, for pictures with so many texts each."""
    total = int(texts_N.sum())
    chance: dict[tuple[str, int], float] = {}
    for depth in DEPTHS:
        chance[TO_PICTURES, depth] = min(1.0, depth / pictures)
        missed = [_miss(total, int(own), depth) for own in texts_N if own]
        chance[TO_TEXTS, depth] = 1 - float(np.mean(missed))
    return chance


def _miss(total: int, own: int, depth: int) -> float:
    """Probability that none of `own` of `total` texts is among `depth` drawn ones."""
    places = np.arange(min(depth, total))
    return float(np.prod(np.maximum(total - own - places, 0) / (total - places)))


def retrieval_table(result: RetrievalResult) -> Table:
    """Recalls with intervals beside chance, and beside exact scoring where it was compared."""
    header = ["recall", "queries", "found", "95% interval", "chance", *(["exact", "loss"] if result.exact else [])]
    rows = []
    for key in sorted(result.recalls, reverse=True, key=lambda key: (key[0], -key[1])):
        interval, (direction, depth) = result.recalls[key], key
        bounds = f"{percent(interval.low)} to {percent(interval.high)}"
        row = [f"{direction} @{depth}", str(interval.n), percent(interval.value), bounds, percent(result.chance[key])]
        if result.exact:
            exact = result.exact[key].value
            row += [percent(exact), f"{100 * (exact - interval.value):.1f} points"]
        rows.append(tuple(row))
    how = "every pair scored" if result.candidates is None else f"{result.candidates} candidates per text scored"
    caption = f"{result.pictures} pictures, {result.texts} texts, {how} in {result.duration_s:.1f} s"
    return Table(result.label, tuple(header), tuple(rows), caption, is_summed=False)


def retrieval_json(result: RetrievalResult) -> dict[str, Any]:
    """What `results.json` and `--json` hold."""
    return {
        "model": result.label,
        "pictures": result.pictures,
        "texts": result.texts,
        "candidates": result.candidates,
        "duration_s": round(result.duration_s, 3),
        "recalls": [
            {
                "direction": direction,
                "depth": depth,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "queries": interval.n,
                "chance": result.chance[direction, depth],
                "exact": result.exact[direction, depth].value if result.exact else None,
            }
            for (direction, depth), interval in result.recalls.items()
        ],
    }


_FOUND = "Each text with the pictures that it ranks first; the right one is marked."


def retrieval_report(result: RetrievalResult, rows: Sequence[CaptionedPicture]) -> Report:
    """The report of a retrieval over `rows`."""
    return Report(
        title=result.label,
        subtitle=f"Retrieval among {result.pictures:,} pictures and {result.texts:,} texts.",
        headlines=tuple(
            _headline(result, direction, depth) for direction in (TO_PICTURES, TO_TEXTS) for depth in (1, 10)
        ),
        sections=(
            Section("Recall", (_chart(result), retrieval_table(result))),
            Section("What some texts found", tuple(_gallery(shown, rows) for shown in result.shown), _FOUND),
        ),
        facts=(("model", result.label), ("time", f"{result.duration_s:.1f} s")),
    )


def _headline(result: RetrievalResult, direction: str, depth: int) -> Headline:
    interval, chance = result.recalls[direction, depth], result.chance[direction, depth]
    detail = f"95% interval {percent(interval.low)} to {percent(interval.high)}; chance {percent(chance)}"
    return Headline(percent(interval.value), f"{direction}, first {depth}", detail)


def _chart(result: RetrievalResult) -> IntervalChart:
    series = ("found", "found by scoring all") if result.exact else ("found",)
    rows = tuple(
        IntervalRow(
            f"{direction} @{depth}",
            tuple(recalls[direction, depth] for recalls in (result.recalls, result.exact) if recalls),
        )
        for direction in (TO_PICTURES, TO_TEXTS)
        for depth in DEPTHS
    )
    return IntervalChart("", series, rows, "Share of queries with a right one among the first 1, 5 and 10.")


def _gallery(shown: ShownText, rows: Sequence[CaptionedPicture]) -> Gallery:
    ranked = [index for index, _ in shown.found]
    place = f"The right picture is number {ranked.index(shown.own) + 1}." if shown.own in ranked else ""
    cards = tuple(_card(rows[index], score, index == shown.own) for index, score in shown.found)
    return Gallery(shown.text, cards, place or f"The right picture is none of the first {len(ranked)}.")


def _card(row: CaptionedPicture, score: float, is_own: bool) -> Card:
    name = Path(row.picture).name if isinstance(row.picture, str) else row.key
    verdict = Verdict("score", f"{score:.3f}", True if is_own else None)
    return Card(open_image(row.picture, row.name), row.captions[0], "", (verdict,), kind=name)
