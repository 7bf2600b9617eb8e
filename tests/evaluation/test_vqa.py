"""Questions are asked, answers scored, and errors stay with their item."""

from __future__ import annotations

import pytest
from PIL import Image

from sightline.answering import asking
from sightline.errors import MachineError
from sightline.evaluation.vqa import evaluate
from sightline.types import VqaRow
from tests.evaluation.answerers import StoredAnswerer, vqa_row

ROWS = [
    vqa_row(0, "red", "colour"),
    vqa_row(1, "2", "count"),
    vqa_row(2, "blue", "colour", 1),
    vqa_row(3, "3", "count", 1),
]


def test_accuracy_worked_by_hand_overall_and_per_kind() -> None:
    """Red and two are right once normalised; green and four are wrong."""
    result = evaluate(StoredAnswerer({"q0": "The red.", "q1": "two", "q2": "green", "q3": "four"}), ROWS)
    assert [item.score for item in result.items] == [1, 1, 0, 0]
    assert result.accuracy.value == 0.5
    assert (result.accuracy.n, result.accuracy.clusters) == (4, 2)
    assert {kind: accuracy.value for kind, accuracy in result.kinds.items()} == {"colour": 0.5, "count": 0.5}
    assert result.items[0].name == "test.jsonl row 1"


def test_thought_before_an_answer_is_no_part_of_it() -> None:
    said: dict[str, str | Exception] = {
        "q0": "<think>blue?</think>red",
        "q1": "There are two.",
        "q2": "<think>blue",
        "q3": "\\boxed{3}",
    }
    result = evaluate(StoredAnswerer(said), ROWS)
    assert [item.score for item in result.items] == [1, 1, 0, 1]


def test_an_item_without_an_answer_is_an_error_of_that_item_alone() -> None:
    answers: dict[str, str | Exception] = {"q0": "red", "q1": RuntimeError("out of memory"), "q2": "blue", "q3": "3"}
    result = evaluate(StoredAnswerer(answers), ROWS)
    assert [item.score for item in result.items] == [1, 0, 1, 1]
    assert result.items[1].error == "out of memory"
    assert result.errors == 1


def test_no_answer_at_all_is_a_fault_of_the_machine() -> None:
    with pytest.raises(MachineError, match="stored answered none of 4 questions. The first error: broken"):
        evaluate(StoredAnswerer({f"q{index}": RuntimeError("broken") for index in range(4)}), ROWS)


def test_blind_questions_carry_no_picture() -> None:
    rows = [VqaRow("row 1", "q0", ("red",), Image.new("RGB", (2, 2)), "key")]
    answerer = StoredAnswerer({"q0": "red"})
    evaluate(answerer, rows, blind=True)
    assert answerer.asked[0].pictures == ()
    evaluate(answerer, rows)
    assert answerer.asked[1].pictures[0].open() is rows[0].image


def test_order_and_progress_hold_over_several_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WINDOW", 3)
    rows = [vqa_row(index, str(index)) for index in range(10)]
    seen: list[tuple[int, int]] = []
    answerer = StoredAnswerer({f"q{index}": str(index) for index in range(10)})
    result = evaluate(answerer, rows, progress=lambda done, total: seen.append((done, total)))
    assert [item.id for item in result.items] == [str(index) for index in range(10)]
    assert seen[-1] == (10, 10) and len(seen) == 10
