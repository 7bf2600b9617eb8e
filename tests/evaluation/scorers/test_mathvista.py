"""MathVista's own extraction and normalisation, item for item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.scorers import mathvista
from sightline.evaluation.task import Item
from tests.evaluation.scorers.cases import item, read_cases

JUDGE = "__NEEDS_JUDGE__"


def asked(row: Mapping[str, Any]) -> Item:
    """The item of a MathVista row; the gold of a choice is its letter."""
    choices, answer = row.get("choices") or [], row.get("answer", "")
    gold = chr(ord("A") + choices.index(answer)) if answer in choices else answer
    return item([gold], choices, answer_type=row["answer_type"], precision=row.get("precision"))


def test_extraction_goes_as_far_as_the_official_one_without_its_judge(shared: Path) -> None:
    for case in read_cases(shared, "mathvista_extract_rules.json")["cases"]:
        for peer, quick in (("expected", False), ("expected_quick_extract", True)):
            extracted = mathvista.extract(asked(case), case["response"], quick=quick)
            assert extracted == (None if case[peer] == JUDGE else case[peer]), case


@pytest.mark.parametrize("name", ["mathvista_normalize.json", "mathvista_real_extractions.json"])
def test_extractions_are_normalised_and_compared_officially(shared: Path, name: str) -> None:
    for case in read_cases(shared, name)["cases"]:
        row = asked(case)
        normalised = mathvista.normalise_extraction(row, case["extraction"])
        assert normalised == case["expected_normalized"], case
        assert (normalised == mathvista.gold_text(row)) == case["expected_correct"], case
        if "lmms_eval_correct" in case:
            same = normalised is not None and normalised.strip() == mathvista.gold_text(row).strip()
            assert same == case["lmms_eval_correct"], case
        # `normalized_ignore_empty` is left out: an option of the official script that no published score uses.


@pytest.mark.parametrize("model", ["bard", "llava_llama_2_13b"])
def test_published_results_come_out_item_by_item(shared: Path, model: str) -> None:
    """From the stored extractions on the official steps are deterministic: all 1,000 verdicts and their sum."""
    folder = shared / "data" / "scorer_conformance"
    rows = [json.loads(line) for line in (folder / f"mathvista_testmini_{model}.jsonl").read_text("utf-8").splitlines()]
    right = 0
    for row in rows:
        question = asked(row)
        verdict = mathvista.normalise_extraction(question, row["extraction"]) == mathvista.gold_text(question)
        assert verdict == row["true_false"], row["pid"]
        right += verdict
    assert right == json.loads((folder / f"mathvista_{model}.scores.json").read_text("utf-8"))["average"]["correct"]
