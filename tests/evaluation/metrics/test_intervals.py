"""Intervals of metrics: pictures are clusters, sums and plain resampling agree, and it takes seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from sightline.evaluation.metrics.intervals import cluster_of, metric_difference, metric_interval
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.profiles import CAPTIONS, MMBENCH, MME, OCRBENCH, POPE
from sightline.evaluation.task import Metric
from sightline.scoring.records import Item, Judged, Verdict
from sightline.stats.intervals import clustered_mean
from tests.scoring.cases import item


@dataclass(frozen=True)
class Named:
    """A picture that is nothing but its key."""

    key: str

    def open(self) -> Image.Image:
        raise AssertionError("nobody looks at pictures here")


def shown(asked: Item, picture: str) -> Item:
    return replace(asked, pictures=(Named(picture),))


def yes_no_run(questions: int, ease: float, seed: int = 0) -> list[Judged]:
    rng = np.random.default_rng(seed)
    run = []
    for row in range(questions):
        gold = ("yes", "no")[row % 2]
        said = gold if rng.random() < ease else {"yes": "no", "no": "yes"}[gold]
        asked = shown(item([gold], id=str(row), category=("random", "popular")[row % 4 // 2]), f"picture {row // 6}")
        run.append(Judged(asked, said, Verdict(float(said == gold), said)))
    return run


def test_means_get_the_clustered_interval() -> None:
    run = yes_no_run(60, 0.8)
    expected = clustered_mean([one.verdict.score for one in run], [row // 6 for row in range(60)])
    assert metric_interval(mean_score(), run) == expected


def test_a_mean_is_the_same_for_items_in_any_order() -> None:
    """0.1 + 0.2 + 0.3 is 0.6000000000000001 by a plain sum of Python 3.11, and 0.6 from behind."""
    run = [Judged(item(["yes"], id=str(score)), "yes", Verdict(score, "yes")) for score in (0.1, 0.2, 0.3)]
    assert mean_score().value(run) == mean_score().value(run[::-1]) == 0.6 / 3


@pytest.mark.parametrize("position", range(6))
def test_resampling_sums_gives_what_scoring_each_resample_gives(position: int) -> None:
    metric = POPE.metrics["strict"][position]
    run = yes_no_run(240, 0.8)
    by_sums = metric_interval(metric, run)
    slow = Metric(metric.name, metric.value)
    one_by_one = metric_interval(slow, run)
    assert by_sums.value == one_by_one.value == metric.value(run)
    assert (by_sums.low, by_sums.high) == pytest.approx((one_by_one.low, one_by_one.high), abs=0.03)


def test_a_difference_is_paired() -> None:
    before = yes_no_run(240, 0.8)
    after = [replace(one, verdict=Verdict(1.0, one.item.answers[0])) for one in before]
    for metric in (*POPE.metrics["strict"][:2], mean_score()):
        difference = metric_difference(metric, before, after)
        assert difference.value == pytest.approx(1 - metric.value(before))
        assert difference.low > 0
        nothing = metric_difference(metric, before, before)
        assert nothing.value == 0 and nothing.low <= 0 <= nothing.high
    with pytest.raises(ValueError, match="same items in the same order"):
        metric_difference(mean_score(), before, after[::-1])


def test_every_metric_of_sums_has_an_interval_around_its_value() -> None:
    rng = np.random.default_rng(1)
    run = []
    for row in range(120):
        asked = item(["Yes"], id=str(row), category=("existence", "code_reasoning")[row % 2], group=f"group {row // 2}")
        run.append(Judged(shown(asked, f"picture {row // 2}"), "", Verdict(float(rng.random() < 0.7), "yes")))
    for scoring in (MME, MMBENCH, OCRBENCH):
        for metric in scoring.metrics["strict"]:
            interval = metric_interval(metric, run)
            assert interval.value == pytest.approx(metric.value(run)), metric.name
            assert interval.low <= interval.value <= interval.high, metric.name


def test_caption_metrics_have_intervals() -> None:
    words = "a cat dog sits on the red mat bus street in park".split()
    rng = np.random.default_rng(2)
    run = []
    for row in range(40):
        references = [" ".join(rng.choice(words, 8)) for _ in range(3)]
        asked = shown(item(references, id=str(row)), f"picture {row}")
        caption = references[0] if row % 2 else " ".join(rng.choice(words, 8))
        run.append(Judged(asked, caption, CAPTIONS.scorers["strict"](asked, caption)))
    for metric in CAPTIONS.metrics["strict"]:
        interval = metric_interval(metric, run)
        assert interval.low < interval.value < interval.high, metric.name


@pytest.mark.slow
def test_9000_yes_no_items_take_seconds() -> None:
    run = yes_no_run(9000, 0.9)
    start = time.perf_counter()
    metric_interval(POPE.metrics["strict"][0], run)
    assert time.perf_counter() - start < 5


def test_items_without_a_picture_cluster_by_group_or_alone() -> None:
    one = Judged(item(id="7"), "", Verdict(0.0, None))
    assert cluster_of(one) == "item 7"
    assert cluster_of(replace(one, item=replace(one.item, group="g"))) == "group g"
    assert cluster_of(replace(one, item=shown(one.item, "p"))) == "p"
    assert cluster_of(replace(one, item=replace(shown(one.item, "p"), facts={"cluster": "12"}))) == "cluster 12"
