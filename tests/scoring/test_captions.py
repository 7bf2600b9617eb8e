"""Caption words and metrics equal those of pycocoevalcap, on made cases and on 15,000 COCO captions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.metrics.groups import caption_metrics, vlmevalkit_caption_metrics
from sightline.evaluation.profiles import CAPTIONS
from sightline.evaluation.task import Metric
from sightline.scoring.captions import cider_scores, longest_common_subsequence
from sightline.scoring.ptb_tokens import ptb_tokens
from sightline.scoring.records import Judged
from tests.scoring.cases import item, read_cases

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


# What pycocoevalcap 1.2 makes of them, each followed by a caption that begins in lower case.
ODD_TEXTS = [
    ("<image> A <b>red</b> cat.</s>", "<image> a <b> red </b> cat </s>"),
    ("red vs. blue, at 12:30pm, 3.5m and 1,000s", "red vs. blue at 12:30 pm 3.5 m and 1,000 s"),
    ("a smile :) or ;-) or :D and (^_^)", "a smile :-rrb- or ;--rrb- or :d and -lrb-^_^-rrb-"),
    ("rock'n'roll for y'all, ma'am", "rock 'n' roll for y' all ma'am"),
    ("snake_case and _this_ and **bold**", "snake_case and _ this _ and ** bold **"),
    ("-5 degrees, 5+5 and 10-20", "-5 degrees 5 +5 and 10-20"),
    ("mr. jones of acme inc. on jan. 5", "mr. jones of acme inc. on jan. 5"),
    ("no. 5 and No. 7, but no.", "no. 5 and no. 7 but no"),
    ("a Ph.D. at M.I.T.", "a ph.d. at m.i.t."),
    ("wait...what? end.of.sentence and wow!great", "wait what end.of.sentence and wow!great"),
    ("&lt;tag&gt; R&amp;B &quot;quoted&quot;", "< tag > r&b quoted"),
    ("m² of CO₂ and ½-mile, 2½ cups", "m ² of co ₂ and 1/2 mile 2 1/2 cups"),
    ("soft\xadhyphen zero\u200bwidth ₹5 and ⅣⅤ", "softhyphen zero width 5 and"),
    ("He has plan B. It works, J. Smith says", "he has plan b it works j. smith says"),
    ("call (555) 123-4567 or 100 200 300", "call -lrb-555-rrb-\xa0123-4567 or 100\xa0200\xa0300"),
    ("1 1/2 cups and 1/2", "1\xa01/2 cups and 1/2"),
    ("B&W, AT&T and black&white", "b&w at&t and black & white"),
    ("the ’90s, o’clock, it’s and d’art", "the ’90s o’clock it 's and d’art"),
    ("Hawai'i, Qur'an, C'est and po'boy", "hawai'i qur an c'est and po boy"),
    ("pictures img_01.jpg, 3.x and a/b/c/d", "pictures img_01 jpg 3.x and a/b/c / d"),
    ("हिन्दी भाषा and 你好，世界。", "हिन्दी भाषा and 你好 ， 世界 。"),
    ("US$5, A$5, us$5 and €3", "us$ 5 a$ 5 us $ 5 and $ 3"),
    ("C++, C# and A+B but a+b", "c++ c# and a+b but a + b"),
    ("thing., x and 5.; y", "thing. x and 5. y"),
    ("'10 and '10. and '90s", "'10 and 10 and '90s"),
    ("a.m.-p.m. Mon.-Fri. x", "a.m.-p.m. mon.-fri x"),
    ("will wash. it in Wash. now", "will wash it in wash. now"),
    ("x@y.com, www.a.com/bc and a.b.com/x", "x@y.com, www.a.com/bc and a.b.com / x"),
]


@pytest.mark.parametrize(("caption", "words"), ODD_TEXTS)
def test_odd_texts_are_split_as_by_the_penn_treebank(caption: str, words: str) -> None:
    assert " ".join(ptb_tokens(caption)) == words


def test_a_line_break_parts_words_and_ends_no_caption() -> None:
    assert ptb_tokens("A cat.\nA dog\u2028here\r\n") == ("a", "cat", "a", "dog", "here")


@pytest.mark.parametrize("text", ["a-", "1,", "n't", "<a b=c ", "a@", "_a", "iVBORw0KGgo/+=", "'\""])
def test_a_long_answer_without_blanks_takes_no_time_to_split(text: str) -> None:
    assert ptb_tokens(text * 200) is not None


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


def test_cider_is_the_same_for_references_in_any_order() -> None:
    """Sums are exact, where `sum` of Python 3.11 gave 1.25 in one order of these and 1.2499999999999998 in another."""
    captions = ("red a ball on", "red grass ball of", "wet a red ball", "a of grass red")
    said = [tuple("ball a on wet".split()), ("x",)]
    orders = itertools.permutations(tuple(caption.split()) for caption in captions)
    assert len({cider_scores(said, [list(order), [("y",)]])[0] for order in orders}) == 1


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
    for said in ("<think>hm</think>A cat.", "**A cat.**", "Caption: A cat.", '{"caption": "A cat."}', '"A cat."'):
        assert CAPTIONS.scorers["strict"](item(["a cat"]), said).score == 1.0, said
    assert CAPTIONS.scorers["strict"](item(["a cat"]), "I'm sorry, I can't describe people.").parsed is None


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
