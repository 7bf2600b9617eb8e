"""Short gold answers: options that the question lists, OCRBench's containment, ChartQA's five per cent, VisOnlyQA."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from sightline.scoring import short_answers
from sightline.scoring.records import Item
from sightline.scoring.short_answers import edit_distance, score_exact, score_visonlyqa
from tests.scoring.cases import item, read_cases

LINES = "Which animal is it?\nA. cat\nB. dog\nC. cow\nAnswer with the option's letter."


def scored(question: str, gold: str, answer: str) -> str:
    verdict = score_exact(Item("1", "case", question, answers=(gold,)), answer)
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
    assert score_exact(item, (looped * 12_000)[:12_000]).score == 0.0
    assert process_time() - start < 20


def test_ocrbench_scores_as_officially_and_as_lmms_eval(shared: Path) -> None:
    for case in read_cases(shared, "ocrbench.json")["cases"]:
        golds = [case["answers"]] if isinstance(case["answers"], str) else case["answers"]
        asked = item(golds, dataset=case["dataset"])
        assert short_answers.score_ocrbench_official(asked, case["prediction"]).score == case["expected"], case
        assert short_answers.score_ocrbench_lmms_eval(asked, case["prediction"]).score == case["lmms_eval_0.7.3"], case


def test_lmms_eval_folds_full_width_letters_outside_formulas() -> None:
    assert short_answers.score_ocrbench_lmms_eval(item(["abc"], dataset="IIIT5K"), "ＡＢＣ").score == 1
    assert short_answers.score_ocrbench_official(item(["abc"], dataset="IIIT5K"), "ＡＢＣ").score == 0


def test_strict_takes_no_empty_gold_and_no_empty_answer() -> None:
    assert short_answers.score_ocrbench_official(item([""]), "anything").score == 1
    assert short_answers.score_ocrbench(item([""]), "anything").score == 0
    assert short_answers.score_ocrbench(item(["a"]), "").parsed is None


def test_relaxed_accuracy_scores_as_vlmevalkit(shared: Path) -> None:
    for case in read_cases(shared, "relaxed_accuracy.json")["cases"]:
        verdict = short_answers.score_chartqa_vlmevalkit(item([case["target"]]), case["prediction"])
        assert bool(verdict.score) == case["vlmevalkit"], case


def test_strict_relaxed_accuracy_reads_numbers_with_their_marks() -> None:
    for said, gold in [("2,000", "2000"), ("$1,500.", "1500"), ("5%", "5%"), ("\\boxed{42}", "41"), ("North", "north")]:
        assert short_answers.score_chartqa(item([gold]), said).score == 1, said
    assert short_answers.score_chartqa(item(["0"]), "0.01").score == 0


def read(answer: str, gold: str, question: str, kind: str = "single_answer") -> str | None:
    item = Item(id="1", name="case", question=question, answers=(gold,), facts={"question_type": kind})
    return score_visonlyqa(item, answer).parsed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("e", "e"),
        ("**E**", "e"),
        ("e) 46", "e"),
        ("46", "e"),
        ("\\boxed{e}", "e"),
        ("答案是e", "e"),
        ("The bar is a little lower than (a). So (d) is too high, and the answer is (e).", "e"),
        ("a is too high, b too low, so the best option is e.", "e"),
        ("(a) is too high.\n(b) is too low.\n\nThe value is about 46.", "e"),
        ("(a) or (e)", None),
        ("(a) 47 (b) 44 (c) 45 (d) 43 (e) 46", None),
        ("A bar chart.", None),
        ("I cannot determine the value.", None),
    ],
)
def test_one_letter_is_read_behind_reasoning(answer: str, said: str | None) -> None:
    assert read(answer, "e", "Which is a reasonable estimate? (a) 47 (b) 44 (c) 45 (d) 43 (e) 46 ") == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("True", "True"),
        ("**False**\n\nIt is true that both lines are long.", "False"),
        ("It would be true if the lines crossed, but they run apart. So the answer is False.", "False"),
        ("Step 1: it is true that AB is straight.\nStep 2: CD is bent.\n\nFalse", "False"),
        ("The statement is not true.", "False"),
        ("The lines AB and CD do not intersect.", "False"),
        ("错误", "False"),
        ("True or False?", None),
        ("It is neither true nor false.", None),
        ("I can't tell whether it is true or false.", None),
    ],
)
def test_truth_is_read_behind_reasoning(answer: str, said: str | None) -> None:
    assert read(answer, "True", "In the figure, the lines AB and CD intersect. True or False?") == said


def test_a_statement_that_denies_is_answered_by_true_and_false_alone() -> None:
    question = "In the figure, the lines AB and CD do not intersect. True or False?"
    assert read("The lines AB and CD do not intersect.", "True", question) is None
    assert read("The lines AB and CD do not intersect. True.", "True", question) == "True"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("a, c", "a,c"),
        ("**a, b, d**", "a,b,d"),
        ("The correct answers are (a), (c) and (d).", "a,c,d"),
        ("The answer is a and d.", "a,d"),
        ("(a) and (c) are correct, (b) is not.", "a,c"),
        ("- (a): correct\n- (b): incorrect\n- (c): correct", "a,c"),
        ("None of the options is right.", None),
        ("I cannot see the figure.", None),
    ],
)
def test_several_letters_are_read_where_several_are_asked_for(answer: str, said: str | None) -> None:
    assert read(answer, "a,c", "Which lines intersect? (a) AB (b) CD (c) EF (d) GH", "multiple_answers") == said


@pytest.mark.parametrize(
    ("peer", "score"),
    [
        ("expected", short_answers.score_anls),
        ("vlmevalkit", short_answers.score_anls),
    ],
)
def test_scores_equal_those_of_the_peer(shared: Path, peer, score) -> None:
    for case in read_cases(shared, "anls.json")["cases"]:
        assert score(item(case["references"]), case["prediction"]).score == pytest.approx(case[peer], abs=1e-9), case


def test_strict_worked_by_hand() -> None:
    """One edit in five letters is 0.8; half the letters wrong is the last that counts."""
    assert short_answers.score_anls_strict(item(["hello"]), "Helo").score == pytest.approx(0.8)
    assert short_answers.score_anls_strict(item(["abef"]), "abcd").score == 0.5
    assert short_answers.score_anls_strict(item(["aefg"]), "abcd").score == 0.0
    assert short_answers.score_anls_strict(item(["hello"]), "  ").parsed is None


def test_blanks_around_an_answer_help_under_the_peers_rule_alone() -> None:
    asked = item(["hello"])
    assert short_answers.score_anls(asked, "helo" + " " * 20).score > 0.95
    assert short_answers.score_anls_strict(asked, "helo" + " " * 20).score == pytest.approx(0.8)


def test_edit_distance_worked_by_hand() -> None:
    assert [edit_distance(*pair) for pair in [("", ""), ("a", ""), ("kitten", "sitting"), ("flaw", "lawn")]] == [
        *(0, 1, 3, 2)
    ]
