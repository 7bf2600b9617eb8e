"""ANLS as the definition has it, and with the lengths and limits of the peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.scoring import anls
from sightline.scoring.anls import edit_distance
from tests.scoring.cases import item, read_cases


@pytest.mark.parametrize(
    ("peer", "score"),
    [
        ("expected", anls.score_lmms_eval),
        ("vlmevalkit", anls.score_lmms_eval),
    ],
)
def test_scores_equal_those_of_the_peer(shared: Path, peer, score) -> None:
    for case in read_cases(shared, "anls.json")["cases"]:
        assert score(item(case["references"]), case["prediction"]).score == pytest.approx(case[peer], abs=1e-9), case


def test_strict_worked_by_hand() -> None:
    """One edit in five letters is 0.8; half the letters wrong is the last that counts."""
    assert anls.score_strict(item(["hello"]), "Helo").score == pytest.approx(0.8)
    assert anls.score_strict(item(["abef"]), "abcd").score == 0.5
    assert anls.score_strict(item(["aefg"]), "abcd").score == 0.0
    assert anls.score_strict(item(["hello"]), "  ").parsed is None


def test_blanks_around_an_answer_help_under_the_peers_rule_alone() -> None:
    asked = item(["hello"])
    assert anls.score_lmms_eval(asked, "helo" + " " * 20).score > 0.95
    assert anls.score_strict(asked, "helo" + " " * 20).score == pytest.approx(0.8)


def test_edit_distance_worked_by_hand() -> None:
    assert [edit_distance(*pair) for pair in [("", ""), ("a", ""), ("kitten", "sitting"), ("flaw", "lawn")]] == [
        *(0, 1, 3, 2)
    ]
