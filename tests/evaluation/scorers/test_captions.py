"""Caption words and metrics equal those of pycocoevalcap, on made cases and on 15,000 COCO captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.metrics.captions import caption_metrics, vlmevalkit_caption_metrics
from sightline.evaluation.scorers.cider import cider_scores
from sightline.evaluation.scorers.ptb_tokens import ptb_tokens
from sightline.evaluation.scorers.rouge_l import longest_common_subsequence
from sightline.evaluation.scoring import CAPTIONS
from sightline.evaluation.task import Judged, Metric
from tests.evaluation.scorers.cases import item, read_cases

NAMES = {"cider": "CIDEr", "bleu4": "Bleu_4", "bleu3": "Bleu_3", "bleu2": "Bleu_2", "bleu1": "Bleu_1"} | {
    "rouge_l": "ROUGE_L"
}


def judged(rows: Iterable[tuple[str, list[str]]], profile: str) -> list[Judged]:
    questions = [(item(references), caption) for caption, references in rows]
    return [Judged(asked, caption, CAPTIONS.scorers[profile](asked, caption)) for asked, caption in questions]


def values(metrics: Iterable[Metric], captions: list[Judged]) -> dict[str, float]:
    return {NAMES[metric.name]: metric.value(captions) for metric in metrics}


@pytest.fixture(scope="module")
def coco(shared: Path) -> list[dict[str, Any]]:
    path = shared / "data" / "caption_metrics" / "val2017_captions.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_captions_are_split_as_by_the_penn_treebank(shared: Path, coco: list[dict[str, Any]]) -> None:
    for case in read_cases(shared, "ptb_tokenizer.json")["cases"]:
        assert " ".join(ptb_tokens(case["input"])) == case["expected"], case
    for row in coco:
        for caption, words in [
            (row["candidate"], row["tokenized_candidate"]),
            *zip(row["references"], row["tokenized_references"], strict=True),
        ]:
            assert " ".join(ptb_tokens(caption)) == words, caption


def test_metrics_of_made_corpora_equal_pycocoevalcap(shared: Path) -> None:
    for case in read_cases(shared, "caption_metrics.json")["cases"]:
        rows = [(row["prediction"], row["references"]) for row in case["items"]]
        for profile, metrics, expected in (
            ("official", caption_metrics(), case["expected_with_ptb_tokenizer"]),
            ("vlmevalkit", vlmevalkit_caption_metrics(), case["raw_untokenized_vlmevalkit_style"]),
        ):
            captions = judged(rows, profile)
            if case["id"] == "basic5":  # four of its five images are here, so no value of the whole can be compared
                single = expected["ROUGE_L"]["per_image"]
                assert [one.verdict.score for one in captions] == pytest.approx(single, abs=1e-9)
                continue
            for name, value in values(metrics, captions).items():
                assert value == pytest.approx(expected[name]["corpus"], abs=1e-9), (case["id"], profile, name)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["human_first_vs_rest", "model_fakecap_vs_all"])
def test_metrics_of_coco_equal_the_official_ones(shared: Path, coco: list[dict[str, Any]], who: str) -> None:
    if who == "human_first_vs_rest":
        rows = [(row["candidate"], row["references"]) for row in coco]
    else:
        rows = [(row["fakecap"], row["captions"]) for row in coco if "fakecap" in row]
    expected = json.loads((shared / "data" / "caption_metrics" / "expected.json").read_text())[who]
    for name, value in values(caption_metrics(), judged(rows, "official")).items():
        assert value == pytest.approx(expected[name], abs=1e-6), name


def test_cider_of_single_images_equals_the_official_one(coco: list[dict[str, Any]]) -> None:
    rows = [row for row in coco if "fakecap" in row]
    references = [[ptb_tokens(caption) for caption in row["captions"]] for row in rows]
    scores = cider_scores([ptb_tokens(row["fakecap"]) for row in rows], references)
    assert scores == pytest.approx([row["fakecap_cider"] for row in rows], abs=1e-6)


def test_printed_examples_come_out(shared: Path) -> None:
    """What the README files of clipscore and nlg-eval print, to the digits they print."""
    printed = json.loads((shared / "data" / "caption_metrics" / "printed_examples.json").read_text())
    example = printed["nlg_eval"]
    references = [list(each) for each in zip(*example["refs"], strict=True)]
    rows = list(zip(example["hyp"], references, strict=True))
    for name, value in values(caption_metrics(), judged(rows, "official")).items():
        assert value == pytest.approx(example["printed"][name], abs=1e-6), name
    clips = printed["clipscore"]
    for side in ("good", "bad"):
        rows = [(caption, clips["refs"][image]) for image, caption in clips[side].items()]
        found = values(caption_metrics(), judged(rows, "official"))
        for ours, theirs in (("Bleu_1", "BLEU-1"), ("Bleu_4", "BLEU-4"), ("ROUGE_L", "ROUGE"), ("CIDEr", "CIDER")):
            assert found[ours] == pytest.approx(clips["printed"][side][theirs], abs=1e-3), (side, ours)


def test_subsequences_worked_by_hand() -> None:
    assert longest_common_subsequence("abcde", "ace") == 3
    assert longest_common_subsequence("", "ace") == 0


def test_strict_counts_an_empty_caption_as_unparsed() -> None:
    assert CAPTIONS.scorers["strict"](item(["a cat"]), " ... ").parsed is None
    assert CAPTIONS.scorers["strict"](item(["a cat"]), "<think>hm</think>A cat.").score == 1.0


def test_people_prefer_captions_that_score_higher(shared: Path) -> None:
    """ROUGE-L against nothing but the human caption of the photo sides with people more often than not."""
    path = shared / "data" / "caption_human_eval" / "ratings.jsonl"
    better = worse = 0
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        asked = item([row["captions"]["human"]])
        scores = {
            system: CAPTIONS.scorers["official"](asked, caption).score
            for system, caption in row["captions"].items()
            if system != "human"
        }
        accurate = [scores[system] for system in scores if row["accurate"][system]]
        inaccurate = [scores[system] for system in scores if not row["accurate"][system]]
        better += sum(high > low for high in accurate for low in inaccurate)
        worse += sum(high < low for high in accurate for low in inaccurate)
    assert better > 1.3 * worse
