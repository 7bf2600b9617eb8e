"""VLMEvalKit's and lmms-eval's inference of option letters, as those two do it without a judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.evaluation.scorers import can_infer
from tests.evaluation.scorers.cases import item, read_cases


@pytest.mark.parametrize(
    ("peer", "infer"),
    [
        ("can_infer_option", can_infer.infer_letter),
        ("can_infer_text", can_infer.infer_text),
        ("expected", can_infer.can_infer),
        ("lmms_eval_mmbench_can_infer", can_infer.lmms_eval_can_infer),
        # lmms_eval_extract_mcq_answer is left out: none of our tasks uses it in lmms-eval, but video ones.
    ],
)
def test_letters_are_inferred_as_the_peer_infers_them(shared: Path, peer, infer) -> None:
    for case in read_cases(shared, "vlmevalkit_can_infer.json")["cases"]:
        options = {letter: str(option) for letter, option in case["choices"].items()}
        assert (infer(case["answer"], options) or False) == case[peer], case


def test_open_questions_become_two_options(shared: Path) -> None:
    for case in read_cases(shared, "vlmevalkit_mmmu_open.json")["cases"]:
        verdict = can_infer.score_vlmevalkit_open(item([case["gold"]]), case["prediction"])
        assert verdict.score == case["vlmevalkit_hit"], case
