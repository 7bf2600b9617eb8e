"""Bring answers into one spelling before they are compared: the steps of the official VQA evaluation."""

from __future__ import annotations

import re
from functools import lru_cache

# Source: GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py at a013f00, described step by step here.
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
PERIOD = re.compile(r"\.(?!\d)")
# VLMEvalKit looks behind the period, where the official pattern means to and does not: "5." keeps it.
_LONE_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_MAX_PERIODS = 32  # the official code hands `re.UNICODE`, which is 32, to the argument that limits replacements
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {"none": "0"} | {
    word: str(number) for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_APOSTROPHE_WORDS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()


@lru_cache(maxsize=4096)
def normalise(answer: str) -> str:
    """Lower case, one space between words, without punctuation and articles, number words as digits.

    An answer that consists of nothing else, such as the option letter "A", keeps its lower-cased text instead of
    becoming equal to every other such answer; here alone this differs from the official code.

    >>> normalise("The red cars, two of them.")
    'red cars 2 of them'
    """
    flat = answer.replace("\n", " ").replace("\t", " ").strip()
    return normalise_words(strip_punctuation(flat)) or flat.lower()


def matches(prediction: str, answers: tuple[str, ...]) -> bool:
    """Whether the prediction says one of the answers, both normalised."""
    return normalise(prediction) in {normalise(answer) for answer in answers}


def strip_punctuation(text: str, period: re.Pattern[str] = PERIOD) -> str:
    """Marks next to a blank vanish, others become a blank; a number with a thousands comma makes all of them vanish.

    Periods that match `period` vanish as well: those before anything but a digit.
    """
    has_long_number = _DIGIT_COMMA_DIGIT.search(text) is not None
    stripped = text
    for mark in _MARKS:
        if mark not in text:
            continue
        vanishes = has_long_number or f"{mark} " in text or f" {mark}" in text
        stripped = stripped.replace(mark, "" if vanishes else " ")
    return period.sub("", stripped, count=_MAX_PERIODS)


def vlmevalkit_punctuation(text: str) -> str:
    """The same step as VLMEvalKit takes it."""
    return strip_punctuation(text, _LONE_PERIOD)


def normalise_words(text: str) -> str:
    """Lower case, number words as digits, no articles, forgotten apostrophes put back."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _contractions() -> dict[str, str]:
    """Every listed word with one of its apostrophes forgotten, to the word."""
    forgotten = {}
    for word in _APOSTROPHE_WORDS:
        for index in (index for index, letter in enumerate(word) if letter == "'"):
            forgotten[word[:index] + word[index + 1 :]] = word
    return forgotten


_CONTRACTIONS = _contractions() | {"somebody'd": "somebodyd"}  # the official table takes this apostrophe away
