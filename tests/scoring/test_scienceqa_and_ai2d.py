"""ScienceQA as LLaVA and lmms-eval read it, AI2D as lmms-eval does."""

from __future__ import annotations

from pathlib import Path

from sightline.evaluation.profiles import AI2D, SCIENCEQA
from tests.scoring.cases import item, read_cases


def test_answers_are_read_as_the_peers_read_them(shared: Path) -> None:
    for case in read_cases(shared, "scienceqa_ai2d.json")["cases"]:
        asked, answer = item([case["gold_letter"]], case["choices"]), case["response"]
        llava = SCIENCEQA.scorers["llava"](asked, answer)
        assert (llava.parsed or "FAILED") == case["llava_parsed_answer"], case
        assert SCIENCEQA.scorers["lmms-eval"](asked, answer).score == case["lmms_eval_scienceqa_correct"], case
        assert AI2D.scorers["lmms-eval"](asked, answer).score == case["lmms_eval_ai2d_exact_match"], case
