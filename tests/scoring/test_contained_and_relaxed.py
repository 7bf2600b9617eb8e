"""OCRBench's containment and ChartQA's five per cent."""

from __future__ import annotations

from pathlib import Path

from sightline.scoring import ocrbench, relaxed_accuracy
from tests.scoring.cases import item, read_cases


def test_ocrbench_scores_as_officially_and_as_lmms_eval(shared: Path) -> None:
    for case in read_cases(shared, "ocrbench.json")["cases"]:
        golds = [case["answers"]] if isinstance(case["answers"], str) else case["answers"]
        asked = item(golds, dataset=case["dataset"])
        assert ocrbench.score_official(asked, case["prediction"]).score == case["expected"], case
        assert ocrbench.score_lmms_eval(asked, case["prediction"]).score == case["lmms_eval_0.7.3"], case


def test_lmms_eval_folds_full_width_letters_outside_formulas() -> None:
    assert ocrbench.score_lmms_eval(item(["abc"], dataset="IIIT5K"), "ＡＢＣ").score == 1
    assert ocrbench.score_official(item(["abc"], dataset="IIIT5K"), "ＡＢＣ").score == 0


def test_strict_takes_no_empty_gold_and_no_empty_answer() -> None:
    assert ocrbench.score_official(item([""]), "anything").score == 1
    assert ocrbench.score_strict(item([""]), "anything").score == 0
    assert ocrbench.score_strict(item(["a"]), "").parsed is None


def test_relaxed_accuracy_scores_as_vlmevalkit(shared: Path) -> None:
    for case in read_cases(shared, "relaxed_accuracy.json")["cases"]:
        verdict = relaxed_accuracy.score_vlmevalkit(item([case["target"]]), case["prediction"])
        assert bool(verdict.score) == case["vlmevalkit"], case


def test_strict_relaxed_accuracy_reads_numbers_with_their_marks() -> None:
    for said, gold in [("2,000", "2000"), ("$1,500.", "1500"), ("5%", "5%"), ("\\boxed{42}", "41"), ("North", "north")]:
        assert relaxed_accuracy.score_strict(item([gold]), said).score == 1, said
    assert relaxed_accuracy.score_strict(item(["0"]), "0.01").score == 0
