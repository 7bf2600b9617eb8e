"""Results are counted per kind and become tables."""

from __future__ import annotations

import json

import pytest

from sightline.evaluation.results import EvalResult, results_table, summarise, to_json
from sightline.types import ItemResult


def item(index: int, score: float, kind: str = "", picture: str = "", error: str = "") -> ItemResult:
    return ItemResult(str(index), f"row {index}", "what?", ("red",), "red", score, picture, kind, error)


@pytest.fixture
def result() -> EvalResult:
    items = [
        item(0, 1, "colour", "a"),
        item(1, 0, "count", "a"),
        item(2, 1, "colour", "b", ""),
        item(3, 0, "count", "c", "oom"),
    ]
    return summarise("nano", items, data="test.jsonl")


def test_kinds_keep_their_order_and_items_without_picture_are_their_own_cluster(result: EvalResult) -> None:
    assert list(result.kinds) == ["colour", "count"]
    assert (result.accuracy.n, result.accuracy.clusters) == (4, 3)
    assert summarise("x", [item(0, 1), item(1, 0)]).accuracy.clusters == 2


def test_json_holds_accuracy_interval_and_n_overall_and_per_kind(result: EvalResult) -> None:
    data = json.loads(json.dumps(to_json(result)))
    assert data["accuracy"] == 0.5 and data["n"] == 4 and data["errors"] == 1
    low, high = data["accuracy_interval"]
    assert 0 <= low < 0.5 < high <= 1
    assert data["kinds"]["colour"]["accuracy"] == 1.0 and data["kinds"]["colour"]["n"] == 2
    assert len(data["kinds"]["count"]["accuracy_interval"]) == 2


def test_the_table_has_kinds_then_all_and_baselines_beside_them(result: EvalResult) -> None:
    blind = summarise("blind", [item(0, 0, "colour")])
    table = results_table(result, blind)
    assert table.header == ("kind", "questions", "accuracy", "95% interval", "blind")
    assert [row[0] for row in table.rows] == ["colour", "count", "all"]
    assert table.rows[0][2] == "100.0%" and table.rows[0][4] == "0.0%"
    assert table.rows[1][4] == ""
    assert table.caption == "4 questions, 3 pictures, 1 without an answer, counted as wrong"
