"""Short gold answers of one's own rows: options that the question itself lists, and truth in either spelling."""

from __future__ import annotations

from time import process_time

import pytest

from sightline.scoring.exact import score_strict
from sightline.scoring.records import Item

LINES = "Which animal is it?\nA. cat\nB. dog\nC. cow\nAnswer with the option's letter."


def scored(question: str, gold: str, answer: str) -> str:
    verdict = score_strict(Item("1", "case", question, answers=(gold,)), answer)
    return "unparsed" if verdict.parsed is None else "right" if verdict.score == 1.0 else "wrong"


@pytest.mark.parametrize("gold", ["B", "b", "(B)", "B.", "dog", "B. dog", "Dog."])
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("B", "right"),
        ("B. dog", "right"),
        ("**B. dog**", "right"),
        ("The answer is (B) dog.", "right"),
        ("<think>A?</think>dog", "right"),
        ("I think it is B", "right"),
        ("C. cow", "wrong"),
        ("B or C", "unparsed"),
        ("A. cat\nB. dog\nC. cow", "unparsed"),
        ("I cannot tell.", "unparsed"),
    ],
)
def test_options_in_the_question_are_chosen_as_options_in_columns_are(gold: str, answer: str, verdict: str) -> None:
    assert scored(LINES, gold, answer) == verdict


@pytest.mark.parametrize(
    "question",
    [
        "Which animal is it? (A) cat (B) dog (C) cow",
        "Which animal is it? A. cat B. dog C. cow",
        "Which?\nOptions: A: cat, B: dog, C: cow",
        "是什么？A、cat B、dog C、cow",
    ],
)
def test_options_are_found_in_any_layout(question: str) -> None:
    assert [scored(question, "B", said) for said in ("B. dog", "dog", "A")] == ["right", "right", "wrong"]


@pytest.mark.parametrize(
    ("question", "gold", "answer", "verdict"),
    [
        ("Which letter is on the sign? A. Miller wrote it.", "B", "B", "right"),
        ("Which grade is shown?", "B", "B+", "wrong"),
        ("Which grade is shown?", "B+", "It is B+.", "right"),
        ("Which blood type is it?", "O", "O-", "wrong"),
        ("Which language is it?", "C", "C++", "wrong"),
        ("What is shown?", "x-ray", "X ray", "right"),
        (LINES, "a brown dog", "a brown dog", "right"),
    ],
)
def test_other_answers_are_compared_as_texts(question: str, gold: str, answer: str, verdict: str) -> None:
    assert scored(question, gold, answer) == verdict


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("True", "Yes, it is.", "right"),
        ("False", "No", "right"),
        ("yes", "True", "right"),
        ("False", "The statement is false.", "right"),
        ("True", "no", "wrong"),
        ("false", "Yes.", "wrong"),
        ("True", "1", "wrong"),
    ],
)
def test_yes_is_true_and_no_is_false(gold: str, answer: str, verdict: str) -> None:
    assert scored("Is the car blue?", gold, answer) == verdict


@pytest.mark.parametrize(
    ("question", "gold", "answer", "verdict"),
    [
        ("这辆车是什么颜色？", "蓝色", "这辆车是蓝色的。", "right"),
        ("这辆车是什么颜色？", "蓝色", "这辆车不是蓝色的。", "wrong"),
        ("車は何色ですか？", "青", "車は青です。", "right"),
        ("차는 무슨 색입니까?", "파란색", "차는 파란색입니다.", "right"),
        ("Welche Farbe hat das Auto?", "blau", "Das Auto ist blau.", "right"),
        ("Welche Farbe hat das Auto?", "blau", "Das Auto ist nicht blau.", "wrong"),
        ("Welche Farbe hat das Auto?", "blau", "Der Himmel ist blau.", "wrong"),
        ("De quelle couleur est le vélo ?", "bleu", "Le vélo est bleu.", "right"),
        ("¿Cuál es la capital?", "Madrid", "La capital es Madrid.", "right"),
        ("Qual é a cor?", "azul", "A cor é azul.", "right"),
    ],
)
def test_a_sentence_about_what_was_asked_is_read_in_other_languages(
    question: str, gold: str, answer: str, verdict: str
) -> None:
    assert scored(question, gold, answer) == verdict


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"), [("12kg", "12 kg", "right"), ("12 kg", "12kg", "right"), ("12 kg", "12 g", "wrong")]
)
def test_a_blank_before_a_unit_makes_no_difference(gold: str, answer: str, verdict: str) -> None:
    assert scored("How heavy is it?", gold, answer) == verdict


@pytest.mark.parametrize("options", [(), ("red", "blue")], ids=["open", "options"])
@pytest.mark.parametrize("looped", ["`", "!", "A. ", "<think>", "0xffff", "so ", "Wait, "])
def test_an_answer_that_repeats_itself_to_its_last_token_holds_nobody_up(looped: str, options: tuple[str, ...]) -> None:
    """Twelve thousand letters, some 4,000 tokens, which some patterns would read in minutes."""
    item = Item("1", "row 1", "What colour?", (), options, ("B" if options else "blue",))
    start = process_time()
    assert score_strict(item, (looped * 12_000)[:12_000]).score == 0.0
    assert process_time() - start < 20
