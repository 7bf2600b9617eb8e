"""Stability over repeated answers equals lmms-eval's figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.stats import stability


def test_figures_equal_those_of_lmms_eval(shared: Path) -> None:
    figures = {
        "EA": stability.expected_accuracy,
        "CA": stability.consensus_accuracy,
        "IV": stability.internal_variance,
        "CR": stability.consistency_rate,
    }
    for case in json.loads((shared / "conformance" / "stability.json").read_text())["cases"]:
        for name, figure in figures.items():
            assert figure(case["per_question_scores"]) == pytest.approx(float(case[name]), nan_ok=True), (case, name)
