"""Two results are paired by item, and what changed is counted and tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sightline.errors import DataError
from sightline.evaluation.compare import compare, comparison_table
from sightline.evaluation.results import EvalResult, summarise
from sightline.evaluation.vqa import score_answer
from sightline.types import Answer
from tests.evaluation.answerers import vqa_row


def result(label: str, right: str) -> EvalResult:
    """A result with one item per bit; even items are of kind colour, odd ones of kind count."""
    rows = [vqa_row(index, "yes", ("colour", "count")[index % 2], index) for index in range(len(right))]
    items = [score_answer(row, Answer("yes" if bit == "1" else "no")) for row, bit in zip(rows, right, strict=True)]
    return summarise(label, items)


def test_changes_worked_by_hand() -> None:
    """Five of eight improve, one worsens: mean 0.5, McNemar 2 * (1 + 6) / 64."""
    before, after = result("sft", "00000111"), result("dpo", "11111011")
    comparison = compare(before, after)
    assert comparison.difference.value == 0.5
    assert (len(comparison.improved), len(comparison.worsened)) == (5, 1)
    assert comparison.p_value == pytest.approx(0.21875)
    assert comparison.kinds["colour"].value == 0.75
    table = comparison_table(before, after, comparison)
    assert table.rows[-1][:4] == ("all", "37.5%", "87.5%", "+50.0")
    assert "5 items improved, 1 worsened of 8" in table.caption


def test_only_common_items_are_paired_whatever_their_order() -> None:
    before, after = result("sft", "0011"), result("dpo", "101")
    comparison = compare(before, replace(after, items=after.items[::-1]))
    assert [pair.before.id for pair in comparison.pairs] == ["2", "1", "0"]
    assert comparison.difference.value == pytest.approx(1 / 3)


def test_results_on_other_rows_are_refused() -> None:
    before, after = result("sft", "01"), result("dpo", "01")
    with pytest.raises(DataError, match="have no item in common"):
        compare(before, replace(after, items=tuple(replace(item, id="x" + item.id) for item in after.items)))
    with pytest.raises(DataError, match="Item '0' asks 'q0' in sft, but 'else'"):
        compare(before, replace(after, items=(replace(after.items[0], question="else"), after.items[1])))
