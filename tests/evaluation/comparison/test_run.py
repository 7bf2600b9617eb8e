"""Two runs are paired by item; changes, tests and items needed are those worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.errors import ConfigError, DataError
from sightline.evaluation.comparison.changes import PairedSamples, SamplePair, pair_samples, task_change
from sightline.evaluation.comparison.run import run_compare, to_json
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.metrics.yes_no import yes_no_metrics
from sightline.evaluation.samples import Sample
from sightline.runs import plain_data
from tests.evaluation.made_runs import answers, made_run, write_rows


def sample(index: int, score: float, parsed: str | None = "yes", picture: str = "", gold: str = "yes") -> Sample:
    return Sample(
        task="made",
        id=str(index),
        name=f"row {index}",
        question=f"q{index}",
        prompt="",
        options=(),
        answers=(gold,),
        category="",
        group="",
        pictures=(picture or f"picture {index}",),
        prediction=parsed or "",
        parsed=parsed,
        score=score,
    )


def paired(before: str, after: str) -> PairedSamples:
    """Pairs with a score per digit, each about a picture of its own."""
    sides = zip(before, after, strict=True)
    return PairedSamples(
        tuple(SamplePair(sample(index, float(a)), sample(index, float(b))) for index, (a, b) in enumerate(sides))
    )


def test_a_change_worked_by_hand() -> None:
    """Five of eight improve, one worsens, each item its own cluster: mean 0.5.

    Squared deviations 6 x 0.25 + 2 x 0.25 + ... : changes are five 1s, one -1, two 0s; sum of squares about the mean
    is 6 - 8 x 0.25 = 4; standard error sqrt(4 / 7 / 8) = 0.26726; t = 1.8708 with 7 degrees of freedom: p = 0.1036.
    McNemar: 2 x (1 + 6) / 64 = 0.21875. Items for 0.1: 8 x ((1.95996 + 0.84162) x 0.26726 / 0.1)^2 = 448.5.
    """
    change = task_change("made", "Made", mean_score(), paired("00000111", "11111011"), detect=0.1)
    assert (change.overall.before, change.overall.after, change.overall.difference.value) == (0.375, 0.875, 0.5)
    assert change.p_value == pytest.approx(0.1036, abs=1e-4)
    assert change.mcnemar == pytest.approx(0.21875)
    assert (change.overall.improved, change.overall.worsened) == (5, 1)
    assert change.items_needed == 449


def test_mcnemar_is_left_out_where_scores_are_shares() -> None:
    samples = PairedSamples(tuple(SamplePair(sample(index, 0.3), sample(index, 0.6)) for index in range(4)))
    assert task_change("made", "Made", mean_score(), samples, 0.01).mcnemar is None


def test_other_metrics_are_compared_by_the_paired_bootstrap_of_pictures() -> None:
    """F1 of yes: before, 2 of 4 yes are found and no false alarm (2 x 2 / (4 + 2) = 2/3); after, all (1)."""
    golds = ["yes"] * 4 + ["no"] * 4
    said = {"before": ["yes", "yes", "no", "no", *["no"] * 4], "after": golds}
    sides = [
        [
            sample(index, float(word == gold), word, gold=gold)
            for index, (word, gold) in enumerate(zip(words, golds, strict=True))
        ]
        for words in said.values()
    ]
    f1 = next(metric for metric in yes_no_metrics() if metric.name == "f1")
    change = task_change("made", "Made", f1, pair_samples("made", *sides), 0.01)
    assert change.overall.difference.value == pytest.approx(1 / 3)
    assert change.overall.difference.low >= 0 and 0 < change.p_value < 0.5
    assert change.items_needed is not None and change.items_needed > 8


def test_only_items_that_ask_the_same_are_paired() -> None:
    before = [sample(index, 1) for index in range(4)]
    after = [sample(1, 1), sample(2, 1, gold="no"), sample(3, 0), sample(4, 1), sample(5, 1)]
    found = pair_samples("made", before, after)
    assert [pair.before.id for pair in found.pairs] == ["1", "3"]
    assert (found.only_before, found.only_after, found.asked_otherwise) == (1, 2, 1)


def test_no_common_item_is_an_error_that_names_some_of_both_runs() -> None:
    with pytest.raises(DataError, match=r"made: the runs have no item in common: 1 items \(0\) in A, 1 items \(7\)"):
        pair_samples("made", [sample(0, 1)], [sample(7, 1)])
    with pytest.raises(DataError, match="1 ids are alike, but ask something else. Compare runs on the same data"):
        pair_samples("made", [sample(0, 1)], [sample(0, 1, gold="no")])


def test_runs_are_compared_on_their_common_items_per_kind_with_every_flip(tmp_path: Path) -> None:
    data = write_rows(tmp_path)
    before, after = made_run(data, "a", answers("00000111")), made_run(data, "b", answers("111110"), "--limit", "6")
    record = json.loads(json.dumps(plain_data(to_json(run_compare(before, after)))))
    task = record["tasks"]["custom"]
    assert (task["n"], task["clusters"], task["only_in_A"], task["only_in_B"]) == (6, 3, 2, 0)
    assert task["A"] == pytest.approx(1 / 6) and task["B"] == pytest.approx(5 / 6)
    assert set(task["categories"]) == {"colour", "count"} and task["categories"]["colour"]["improved"] == 3
    assert [flip["id"] for flip in task["flips"]] == ["0", "1", "2", "3", "4", "5"]
    last = task["flips"][-1]
    assert last["gold"] == ["red"] and last["question"] == "what is number 5 ?" and len(last["pictures"]) == 1
    assert (last["A"]["answer"], last["A"]["score"], last["B"]["answer"], last["B"]["score"]) == ("red", 1, "blue", 0)
    assert task["p_value_holm"] == task["p_value"], "a single task needs no correction"


def test_runs_of_other_tasks_or_unfinished_ones_are_refused(tmp_path: Path) -> None:
    data = write_rows(tmp_path)
    run = made_run(data, "a", answers("00000111"))
    with pytest.raises(ConfigError, match="--detect: expected a share of full marks between 0 and 1"):
        run_compare(run, run, detect=1)
    with pytest.raises(DataError, match=r"holds no results: results.json is missing"):
        run_compare(run, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    summary = json.loads((run / "results.json").read_text())
    (other / "results.json").write_text(json.dumps({**summary, "tasks": {"pope": summary["tasks"]["custom"]}}))
    with pytest.raises(DataError, match="no task in common: .* has custom, .* has pope"):
        run_compare(run, other)
