"""Pair the samples of two runs by item, and note what only one of them asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sightline.errors import DataError
from sightline.evaluation.samples import Sample, item_of
from sightline.scoring.records import Judged, Verdict


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
    """Pairs by id of the items that ask the same.

    Raises:
        DataError: there is none.
    """
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
