"""Training runs side by side: `sightline compare` of training folders, in the terminal, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.logbook.story import FINISHED, Story, write_story
from sightline.runs import RunFolder
from tests.evaluation.made_runs import answers, made_run, write_rows


def trained(path: Path, loss: float, told: bool = True, **settings: Any) -> Path:
    """A folder as a run of three steps leaves it; without a story as earlier versions did."""
    folder = RunFolder(path)
    given = {"output_dir": str(path), "learning_rate": 1e-3, "hub_token": "abcdefgh12345678", **settings}
    folder.begin(given, begun={"seed": 1, "training rows": "4 of content ab"})
    for step in (1, 2, 3):
        folder.append_metrics({"step": step, "loss": loss / step, "seconds": step})
    if told:
        write_story(
            folder,
            Story("SFT", state=FINISHED, step=3, max_steps=3, rows_per_step=4.0, settings={"beta": 0.1, **settings}),
        )
    return path


def test_runs_stand_side_by_side_with_what_differs_and_where_they_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [trained(tmp_path / name, loss, seed=3, learning_rate=rate)
            for name, loss, rate in (("one", 3.0, 1e-3), ("two", 6.0, 2e-3), ("three", 9.0, 1e-3))]  # fmt: skip
    assert run(["compare", *map(str, runs), "--output_dir", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["settings_that_differ"] == {"learning_rate": {"one": 1e-3, "two": 2e-3, "three": 1e-3}}
    assert [one["figures"]["loss"] for one in found["runs"]] == [1.0, 2.0, 3.0]
    assert [(one["state"], one["seconds"]) for one in found["runs"]] == [("finished", 3.0)] * 3
    assert "learning_rate" in printed.err and "finished" in printed.err
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == found
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.count('class="line"') == 6, "loss and rows a second of three runs"
    assert "3 training runs" in html and "0.002" in html and "abcdefgh12345678" not in html


def test_a_folder_of_an_earlier_version_and_two_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = trained(tmp_path / "a" / "run", 3.0, told=False), trained(tmp_path / "b" / "run", 6.0)
    assert run(["compare", str(first), str(second), "--output_dir", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "of an earlier version" in " ".join(printed.split()) and "Settings that differ" in printed
    html = (tmp_path / "out" / "report.html").read_text()
    assert str(first) in html and str(second) in html


def test_colours_are_those_of_runs_in_every_chart_and_a_run_without_points_is_not_in_its_legend(tmp_path: Path) -> None:
    first, second = trained(tmp_path / "one", 3.0), trained(tmp_path / "two", 6.0)
    RunFolder(second).append_metrics({"step": 3, "rewards/margins": 0.5})
    assert run(["compare", str(first), str(second), "--output_dir", str(tmp_path / "out")]) == 0
    chart = (
        (tmp_path / "out" / "report.html").read_text().split("<h3>Reward margin: training</h3>")[1].split("</h3>")[0]
    )
    assert "var(--series-1)" in chart and "var(--series-0)" not in chart
    assert "</i>two</span>" in chart and "</i>one</span>" not in chart


def test_training_and_evaluation_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_rows(tmp_path, count=4)
    evaluated, one = made_run(data, "nano", answers("1010")), trained(tmp_path / "one", 3.0)
    assert run(["compare", str(one), str(evaluated)]) == 2
    error = capsys.readouterr().err
    assert f"got training runs ({one}) and others ({evaluated})" in error
    assert run(["compare", str(one), str(tmp_path / "nothing")]) == 2
    assert run(["compare", str(evaluated), str(evaluated), str(evaluated)]) == 2
    assert "expected two evaluations, got 3 folders" in capsys.readouterr().err


def test_settings_of_evaluations_are_refused_for_training_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(trained(tmp_path / name, 3.0)) for name in ("one", "two")]
    assert run(["compare", *runs, "--detect", "0.05"]) == 2
    assert "--detect and --report_pictures are of evaluations" in capsys.readouterr().err


def test_runs_of_the_same_settings_are_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [trained(tmp_path / name, 2.0, learning_rate=1e-4) for name in ("a", "b")]
    assert run(["compare", *map(str, folders)]) == 0
    assert "none that the runs recorded" in capsys.readouterr().out
