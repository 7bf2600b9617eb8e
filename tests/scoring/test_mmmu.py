"""MMMU's readers read as MMMU and lmms-eval do; where those choose at random, ours read nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sightline.evaluation.profiles import MMMU
from sightline.scoring import mmmu
from sightline.scoring.mmmu import score_strict_open
from tests.scoring.cases import RANDOM, item, read_cases


@pytest.mark.parametrize(
    ("peer", "read"),
    [
        ("expected", mmmu.read_official_choice),
        ("lm_eval_harness", mmmu.read_official_choice),
        ("lmms_eval_0.7.3", mmmu.read_lmms_eval_choice),
    ],
)
def test_choices_are_read_as_the_peer_reads_them(shared: Path, peer, read) -> None:
    for case in read_cases(shared, "mmmu_multi_choice.json")["cases"]:
        said = read(item(options=case["options"]), case["response"])
        assert said == (None if case[peer] == RANDOM else case[peer]), case


def test_open_answers_are_read_and_scored_officially(shared: Path) -> None:
    for case in read_cases(shared, "mmmu_open.json")["cases"]:
        assert set(mmmu.read_open(case["response"])) == set(case["parsed"]), case
        golds = case["gold"] if isinstance(case["gold"], list) else [case["gold"]]
        assert mmmu.score_official_open(item(golds), case["response"]).score == case["expected_correct"], case


def test_texts_are_normalised_and_numbers_found_officially(shared: Path) -> None:
    for case in read_cases(shared, "mmmu_helpers.json")["cases"]:
        readers: dict[str, Callable[[str], Sequence[float | str]]]
        readers = {"normalize_str": mmmu.normalise_open, "extract_numbers": mmmu.find_numbers}
        found = readers[case["fn"]](case["input"])
        if case["input"] == "nan":  # a number that equals nothing; the file has it as text
            assert len(found) == 1 and math.isnan(float(found[0]))
        else:
            assert found == case["expected"], case


def test_real_outputs_get_the_official_reading(shared: Path) -> None:
    for case in read_cases(shared, "mmmu_real_outputs.json")["cases"]:
        if case["type"] == "mc":
            options = [case["index2ans"][letter] for letter in sorted(case["index2ans"])]
            said = mmmu.read_official_choice(item(options=options), case["response"])
            assert said == (None if case["parsed"] == RANDOM else case["parsed"]), case
            assert (said == case["answer"]) == case["correct"], case
        else:
            golds = case["answer"] if isinstance(case["answer"], list) else [case["answer"]]
            assert mmmu.score_official_open(item(golds), case["response"]).score == case["correct"], case


def test_llava_scores_as_officially_on_all_of_validation(shared: Path) -> None:
    """900 answers of LLaVA-1.5-13B; the 2 that the official parser draws at random are unparsed."""
    path = shared / "data" / "scorer_conformance" / "mmmu_val_llava1.5_13b.jsonl"
    readings: Counter[str] = Counter()
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        options = [row["index2ans"][letter] for letter in row.get("all_choices") or []]
        golds = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
        verdict = MMMU.scorers["official"](item(golds, options), row["response"])
        if verdict.parsed is None:
            readings["unparsed"] += 1
        else:
            readings["agree"] += bool(verdict.score) == row["official_correct"]
    assert readings == {"unparsed": 2, "agree": 898}


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
    verdict = score_strict_open(item(golds), answer)
    assert (None if verdict.parsed is None else verdict.score) == score
