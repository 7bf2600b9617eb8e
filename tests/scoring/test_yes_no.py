"""Yes/no readers read as the peers they are named after, and `strict` reads only what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sightline.scoring import yes_no
from tests.scoring.cases import item, read_cases

UNREAD = {"other": None, "Unknown": None, "Yes": "yes", "No": "no"}


@pytest.mark.parametrize(
    ("peer", "read"),
    [
        ("expected_mme_official", yes_no.read_mme),
        ("expected_pope_official", yes_no.read_pope),
        ("lmms_eval_mme", yes_no.read_lmms_eval_mme),
        ("vlmevalkit_YOrN_Extraction", yes_no.read_vlmevalkit),
    ],
)
def test_readers_agree_with_their_peers(shared: Path, peer, read) -> None:
    for case in read_cases(shared, "yes_no.json")["cases"]:
        assert read(item(), case["input"]) == UNREAD.get(case[peer], case[peer]), case


def test_lmms_eval_reads_pope_where_the_whole_answer_is_the_word(shared: Path) -> None:
    for case in read_cases(shared, "yes_no.json")["cases"]:
        expected = case["lmms_eval_pope_pred"]
        assert yes_no.read_lmms_eval_pope(item(), case["input"]) == (expected if expected in ("yes", "no") else None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("**No**, there is no dog.", "no"),
        ("NO", "no"),
        ("No.", "no"),
        ("Yes, there is no doubt.", "yes"),
        ("There is no dog in the image.", "no"),
        ("The answer is: yes", "yes"),
        ("Answer: **No**", "no"),
        ("<think>yes? no?</think>\nno", "no"),
        ("\\boxed{\\text{Yes}}", "yes"),
        ("Absolutely, yes.", "yes"),
        ("False", "no"),
        ("", None),
        ("I don't know", None),
        ("Norway", None),
        ("Yesterday", None),
        ("One could say yes or no.", None),
        ("No one knows whether the answer should be yes.", None),
        ("maybe", None),
    ],
)
def test_strict_reads_what_is_said(answer: str, said: str | None) -> None:
    asked = replace(item(), question="Is there a dog in the image?")
    assert yes_no.read_strict(asked, answer) == said
