"""Option letters as VLMEvalKit, lmms-eval and LLaVA read them: each as that peer does it without a judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.evaluation.profiles import AI2D, SCIENCEQA
from sightline.scoring import choices
from tests.scoring.cases import item, read_cases


@pytest.mark.parametrize(
    ("peer", "infer"),
    [
        ("can_infer_option", choices.infer_letter),
        ("can_infer_text", choices.infer_text),
        ("expected", choices.can_infer),
        ("lmms_eval_mmbench_can_infer", choices.lmms_eval_can_infer),
        # lmms_eval_extract_mcq_answer is left out: none of our tasks uses it in lmms-eval, but video ones.
    ],
)
def test_letters_are_inferred_as_the_peer_infers_them(shared: Path, peer, infer) -> None:
    for case in read_cases(shared, "vlmevalkit_can_infer.json")["cases"]:
        options = {letter: str(option) for letter, option in case["choices"].items()}
        assert (infer(case["answer"], options) or False) == case[peer], case


def test_open_questions_become_two_options(shared: Path) -> None:
    for case in read_cases(shared, "vlmevalkit_mmmu_open.json")["cases"]:
        verdict = choices.score_vlmevalkit_open(item([case["gold"]]), case["prediction"])
        assert verdict.score == case["vlmevalkit_hit"], case


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("In the picture, sample A has a higher speed. The answer is C.", "C"),
        ("There is A dog in it, so (B) is right, not A", "B"),
        ("The gas in sample A moves faster: A.", "A"),
        ("I see A cat and :D is what I take", "D"),
        ("Let A = 3, then A) the first one", "A"),
        ("It is A certain thing", None),
        ("Sample A", "A"),
        ("A is right because B. and C. are wrong", None),
    ],
)
def test_in_lmms_eval_a_bare_a_of_longer_answers_is_an_article_and_marked_letters_are_read(
    answer: str, letter: str | None
) -> None:
    """MMBench_Evaluator.can_infer_option of 0.7.3 leaves the bare form alone and goes on to "A.", "(A)", ":A", ..."""
    assert choices.lmms_eval_can_infer(answer, dict.fromkeys("ABCD", "no such text")) == letter


@pytest.mark.parametrize("blanks", [" ", "  ", "\n", " \t"])
def test_vlmevalkits_answer_is_may_be_parted_by_any_blanks(blanks: str) -> None:
    answer = f"The answer{blanks}is B since A and C are wrong and nothing else is known here"
    assert choices.infer_letter(answer, "ABC") == "B"


def test_answers_are_read_as_the_peers_read_them(shared: Path) -> None:
    for case in read_cases(shared, "scienceqa_ai2d.json")["cases"]:
        asked, answer = item([case["gold_letter"]], case["choices"]), case["response"]
        llava = SCIENCEQA.scorers["llava"](asked, answer)
        assert (llava.parsed or "FAILED") == case["llava_parsed_answer"], case
        assert SCIENCEQA.scorers["lmms-eval"](asked, answer).score == case["lmms_eval_scienceqa_correct"], case
        assert AI2D.scorers["lmms-eval"](asked, answer).score == case["lmms_eval_ai2d_exact_match"], case
