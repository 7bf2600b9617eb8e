"""MMMU's parsers: option letters and open answers as the official code and lmms-eval read them, and `strict`.

Sources, described step by step: MMMU-Benchmark/MMMU mmmu/utils/eval_utils.py at bb0b95a; lmms-eval 0.7.3
tasks/_task_utils/mmmu_mcq_utils.py. Where both choose at random, the answer is unparsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from sightline.scoring.final_answer import after_reasoning, refuses, sentences, without_markup
from sightline.scoring.normalise import normalise
from sightline.scoring.numbers import Number, read_number, whole_number
from sightline.scoring.records import UNPARSED, Item, Verdict, letters_of
from sightline.scoring.short_texts import final_phrase

Reading = float | str
"""A normalised open answer: a number of two places, or lower-case text."""

_STRIPPED = ",.!?;:'"  # one mark after the other, each from both ends: the order matters
_CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def read_official_choice(item: Item, answer: str) -> str | None:
    """The option letter: in brackets, else between blanks, else of the option whose text occurs; the last said one."""
    return _read_choice(item, answer, bare=(" {} ",))


def read_lmms_eval_choice(item: Item, answer: str) -> str | None:
    """The same, but a letter needs no blank before it ("DNA " says A) and may be followed by a period instead."""
    return _read_choice(item, answer, bare=("{} ", "{}."))


def score_official_open(item: Item, answer: str) -> Verdict:
    """Right where a candidate text contains a gold text, or a candidate number equals a gold number."""
    candidates = read_open(answer)
    golds = [gold for text in item.answers for gold in normalise_open(text)]
    return Verdict(float(any(_agrees(candidate, golds) for candidate in candidates)), _shown(candidates))


def read_open(answer: str) -> list[Reading]:
    """All that the answer may be saying: tails behind cues such as "so" and "is", and every number in them."""
    tails = _key_parts(answer)
    texts = [*tails, *(number for tail in tails for number in find_numbers(tail))]
    return list(dict.fromkeys(reading for text in texts for reading in normalise_open(text)))


def normalise_open(text: str) -> list[Reading]:
    """A number rounded to two places, or lower-case text; one character becomes two texts, with a blank on one side.

    >>> normalise_open("3.14159"), normalise_open("Z")
    ([3.14], [' z', 'z '])
    """
    bare = text.strip()
    try:
        return [round(float(bare.replace(",", "")), 2)]
    except ValueError:
        lower = bare.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def find_numbers(text: str) -> list[str]:
    """Numbers with thousands commas, then those with an exponent, then simple ones; parts may be found twice."""
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _read_choice(item: Item, answer: str, bare: tuple[str, ...]) -> str | None:
    text = answer
    for mark in _STRIPPED:
        text = text.strip(mark)
    text = f" {text} "
    letters = letters_of(item)
    if said := _forms_in(text, letters, "({})".format):
        return _last_said(text, said)
    for form in bare:
        if said := _forms_in(text, letters, form.format):
            return _last_said(text, {letter: f" {letter} " for letter in said})
    if len(text.split()) > 5:
        options = dict(zip(letters, item.options, strict=True))
        return _last_said(text.lower(), _forms_in(text.lower(), letters, lambda letter: options[letter].lower()))
    return None


def _forms_in(text: str, letters: str, form: Callable[[str], str]) -> dict[str, str]:
    return {letter: form(letter) for letter in letters if form(letter) in text}


def _last_said(text: str, forms: Mapping[str, str]) -> str | None:
    """The letter whose form occurs furthest right; the first of equals."""
    return max(forms, key=lambda letter: text.rfind(forms[letter]), default=None)


def _key_parts(answer: str) -> list[str]:
    text = answer.strip().strip(".").lower()
    *lines, last = text.split("\n")
    tails = [_shortest_tail(line, _CUES) for line in lines] + [_shortest_tail(last, (*_CUES, "="))]
    return [tail for tail in tails if tail and tail not in _TRIVIAL] or [text]


def _shortest_tail(line: str, cues: Iterable[str]) -> str:
    shortest = ""
    for cue in cues:
        if cue in line:
            tail = line.rsplit(cue, 1)[1].strip()
            shortest = tail if not shortest or len(tail) < len(shortest) else shortest
    return shortest


def _agrees(candidate: Reading, golds: list[Reading]) -> bool:
    if isinstance(candidate, str):
        return any(isinstance(gold, str) and gold in candidate for gold in golds)
    return candidate in golds


def _shown(candidates: list[Reading]) -> str:
    return " | ".join(str(candidate) for candidate in candidates)


_DENIED = re.compile(r"\b(?:not|no|neither|nor|never)\b|n['’]t\b", re.IGNORECASE)


def score_strict_open(item: Item, answer: str) -> Verdict:
    """Right where the answer's number equals a gold number to two places, or its final statement has a gold text."""
    text = without_markup(after_reasoning(answer))
    statement = final_phrase(text) or (sentences(text) or [""])[-1]
    if not statement or refuses(statement):
        return UNPARSED
    said = statement
    for gold in item.answers:
        target = whole_number(gold)
        if target is not None:
            number = read_number(text)
            said = number.written if number else said
            right = number is not None and _to_two_places(number) & _to_two_places(target) != set()
        else:
            right = f" {normalise(gold)} " in f" {normalise(statement)} " and not _DENIED.search(statement)
        if right:
            return Verdict(1.0, said)
    return Verdict(0.0, said)


def _to_two_places(number: Number) -> set[float]:
    return {round(float(value), 2) for value in number.values()}
