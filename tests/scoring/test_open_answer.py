"""Open answers under `strict`: numbers to two places, texts as words of the final statement."""

from __future__ import annotations

import pytest

from sightline.scoring.open_answer import score_strict
from tests.scoring.cases import item


@pytest.mark.parametrize(
    ("answer", "golds", "score"),
    [
        ("36.004", ["36"], 1.0),
        ("The answer is 36 watts", ["30"], 0.0),
        ("Thus we have 12 apples. So the answer is 13", ["13"], 1.0),
        ("1,000,000", ["1000000"], 1.0),
        ("3.429", ["24/7", "3.429"], 1.0),
        ("hepatitis", ["hepatitis"], 1.0),
        ("It is hepatitis B.", ["hepatitis"], 1.0),
        ("It is not hepatitis.", ["hepatitis"], 0.0),
        ("\\boxed{\\text{The Starry Night}}", ["The Starry Night"], 1.0),
        ("The picture shows a night. The answer is: The Starry Night.", ["starry night"], 1.0),
        ("A", ["A"], 1.0),
        ("cat", ["at"], 0.0),
        ("", ["5"], None),
        ("I cannot answer this.", ["5"], None),
    ],
)
def test_an_open_answer_is_right_wrong_or_unparsed(answer: str, golds: list[str], score: float | None) -> None:
    verdict = score_strict(item(golds), answer)
    assert (None if verdict.parsed is None else verdict.score) == score
