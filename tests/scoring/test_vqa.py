"""VQA accuracy under each peer's spelling and rule."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sightline.errors import DataError
from sightline.evaluation.profiles import TEXTVQA, VQAV2
from sightline.scoring import vqa
from tests.scoring.cases import item, read_cases


@pytest.mark.parametrize(
    ("peer", "spelling"),
    [
        ("expected_vqa_official", vqa.official_spelling),
        ("lmms_eval_vqav2_steps", vqa.official_spelling),
        ("lmms_eval_textvqa_processor", vqa.evalai_spelling),
        ("llava_m4c_processor", vqa.evalai_spelling),
        ("vlmevalkit_process_answer", vqa.vlmevalkit_spelling),
    ],
)
def test_answers_are_spelled_as_the_peer_spells_them(shared: Path, peer, spelling) -> None:
    for case in read_cases(shared, "vqa_normalize.json")["cases"]:
        assert spelling(case["input"]) == case[peer], case


@pytest.mark.parametrize(
    ("peer", "score"),
    [
        ("expected_vqa_official", VQAV2.scorers["official"]),
        ("lmms_eval_vqav2", VQAV2.scorers["lmms-eval"]),
        ("lmms_eval_textvqa", TEXTVQA.scorers["lmms-eval"]),
        ("vlmevalkit_textvqa", TEXTVQA.scorers["vlmevalkit"]),
        ("llava_m4c_textvqa", TEXTVQA.scorers["official"]),
    ],
)
def test_accuracies_equal_those_of_the_peer(shared: Path, peer, score) -> None:
    for case in read_cases(shared, "vqa_accuracy.json")["cases"]:
        assert score(item(case["answers"]), case["prediction"]).score == pytest.approx(case[peer], abs=1e-9), case


def test_three_of_ten_people_worked_by_hand() -> None:
    """Each of the three sees two others who agree: 3 * 2/3; each of the seven sees three: 7 * 1; over 10: 0.9."""
    assert vqa.score_strict(item(["no"] * 3 + ["yes"] * 7), "No.").score == pytest.approx(0.9)


def test_the_same_number_of_people_gives_the_same_score_whoever_they_are() -> None:
    """Two who agree: 2 * 1/3 + 8 * 2/3, over 10: 0.6, which a plain sum of Python 3.11 missed by 1e-16 at times."""
    for pair in itertools.combinations(range(10), 2):
        people = [f"other {place}" for place in range(10)]
        for place in pair:
            people[place] = "yes"
        assert vqa.score_official(item(people), "yes").score == 0.6, pair
        assert vqa.score_strict(item(people), "yes").score == 0.6, pair


def test_strict_spells_alike_even_where_people_agree_to_the_letter() -> None:
    asked = item(["yes"] * 10)
    assert (vqa.score_official(asked, "Yes").score, vqa.score_strict(asked, "Yes").score) == (0.0, 1.0)
    assert vqa.score_strict(asked, " ").parsed is None


def test_a_single_gold_answer_is_refused() -> None:
    with pytest.raises(DataError, match="answers of several people"):
        vqa.score_strict(item(["yes"]), "yes")
