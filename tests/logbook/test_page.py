"""The page of a run says what its numbers and its record say, with one record, ten or none, finished or cut."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from sightline.logbook.charts import training_charts
from sightline.logbook.page import RunRecord, run_page
from sightline.logbook.story import FAILED, FINISHED, STOPPED, Metrics, Part, Shared, Story
from sightline.pages.report import Card, Verdict, render_report

STORY = Story(
    "DPO", "nano", "pairs.jsonl", step=10, max_steps=40, written="2026-01-02 03:04:05 UTC", rows_per_step=8.0,
    rows={"training": 96, "evaluation": None}, route="mask", reason="it matches plain rows",
    shared=Shared(1000, 400, 16, 8, 6), references=(96, 24),
    left_out=2, said=("pairs.jsonl: 2 of 98 rows cannot be used and are left out",),
    settings={"beta": 0.1, "lora": {"r": 8}, "loss_type": ["sigmoid"]},
)  # fmt: skip


def logged(steps: int, **others: Any) -> Metrics:
    row = {"rewards/accuracies": 0.5, "rewards/chosen": 0.1, "rewards/rejected": -0.2, "learning_rate": 1e-4}
    return Metrics(
        {"step": step, "loss": 2.0 / step, **row, "num_tokens": 100 * step, "seconds": 0.5 * step, **others}
        for step in range(1, steps + 1)
    )


def page(metrics: Metrics, story: Story = STORY, **others: Any) -> str:
    given = {"dataset_name": "pairs.jsonl", "hub_token": "<hidden>"}
    environment = {"python": "3.11", "packages": {"torch": "2.13"}, "devices": [], "commit": "abc"}
    return render_report(run_page(RunRecord("run-1", story, metrics, given, environment, **others)))


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_curves_scores_sharing_rows_settings_and_machine_stand_on_one_page(steps: int) -> None:
    card = Card(Image.new("RGB", (32, 32)), "<image> what?", "", (Verdict("chosen", "red", True),), "pairs.jsonl row 1")
    html = page(logged(steps), samples=(card,))
    for said in (
        "run-1", "DPO of nano on pairs.jsonl.", "In training: step 10 of 40", "Reward accuracy", "Learning rate",
        "Rows a second", "it matches plain rows", "60.0% saved", "400 read, where rows of their own have 1,000",
        "75.0% found", "24 of 96 rows were stored before",
        "streamed", "2 of 98 rows cannot be used", "left out of batches", "pairs.jsonl row 1",
        "&lt;image&gt; what?", "&lt;hidden&gt;", "All 3 settings", "lora.r", "torch 2.13", "16.0 rows",
    ):  # fmt: skip
        assert said.replace("16.0 rows", "16 rows a second") in html, said


def test_a_run_that_logged_nothing_says_so_and_has_no_empty_section() -> None:
    html = page(Metrics(), Story("SFT"))
    assert "No step has been logged yet." in html
    assert "<h2>Samples" not in html and "<h2>Scores" not in html and "<h2>What was shared" not in html


@pytest.mark.parametrize(
    ("state", "told", "said"),
    [
        (FINISHED, "", "Finished: step 10 of 40 at 2026-01-02 03:04:05 UTC."),
        (STOPPED, "Ctrl-C", "Stopped at step 10 of 40, 2026-01-02 03:04:05 UTC: Ctrl-C"),
        (FAILED, "DataError: row 3", "Failed at step 10 of 40, 2026-01-02 03:04:05 UTC: DataError: row 3"),
    ],
)
def test_the_page_says_how_the_run_ended(state: str, told: str, said: str) -> None:
    assert said in page(logged(3), replace(STORY, state=state, told=told))


def test_a_resumed_run_says_what_was_before() -> None:
    assert "Gone on with from step 6. Before: Ctrl-C." in page(logged(3), replace(STORY, parts=(Part(6, "Ctrl-C"),)))


def test_what_was_not_finite_is_named_with_its_steps() -> None:
    rows = ({"step": step, "loss": None if step in (2, 4) else 1.0, "grad_norm": math.inf} for step in range(1, 6))
    html = page(Metrics(rows))
    assert "training was not finite (NaN or infinite) at steps 2, 4: the line has gaps there." in html
    assert "at steps 1, 2, 3 and 2 more" in html


def test_tasks_have_curves_with_bands_and_a_table_with_intervals() -> None:
    scores = {"eval_pope_accuracy": 0.8, "eval_pope_accuracy_low": 0.7, "eval_pope_accuracy_high": 0.9}
    metrics = logged(2, **scores, eval_pope_unparsed=0.125, eval_pope_errors=1.0, eval_loss=0.7)
    html = page(metrics)
    assert "0.800 (0.700 to 0.900)" in html and "12.5%" in html and 'class="band"' in html
    assert "<h3>pope accuracy</h3>" in html
    assert not any("pope" in chart.title.lower() for chart in training_charts(metrics, 8.0))


def test_throughput_counts_training_alone_and_goes_on_over_a_resumed_step() -> None:
    metrics = logged(4)
    assert (
        list(metrics.rate(8.0).values)
        == [16.0] * 4
        == [value * 16 / 200 for value in metrics.rate("num_tokens").values]
    )


def test_metrics_that_nobody_knows_have_charts_of_their_own_with_their_evaluation() -> None:
    metrics = Metrics(
        [{"step": 1, "mlm_loss": 2.0, "eval_mlm_loss": 3.0, "eval_runtime": 1.0, "note": "x", "ok": True}]
    )
    (chart,) = training_charts(metrics, 1.0)
    assert chart.title == "Mlm loss" and [curve.name for curve in chart.curves] == ["training", "evaluation"]


def test_a_learning_rate_is_drawn_as_it_was_and_not_smoothed() -> None:
    charts = {chart.title: chart.smooth for chart in training_charts(logged(50), 8.0)}
    assert not charts["Learning rate"] and charts["Loss"]


def test_a_gradient_norm_that_spans_decades_is_drawn_on_a_logarithmic_axis() -> None:
    metrics = Metrics({"step": step, "grad_norm": 10.0**step, "learning_rate": 1e-4} for step in range(1, 5))
    assert [(chart.title, chart.log) for chart in training_charts(metrics, 1.0)] == [
        ("Learning rate", False),
        ("Gradient norm", True),
    ]
