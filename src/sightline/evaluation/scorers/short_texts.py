"""Read an answer of a few words: as it stands, without what it is wrapped in, and behind "The answer is"."""

from __future__ import annotations

import re
from collections.abc import Callable

from sightline.evaluation.scorers.final_answer import after_reasoning, boxed, refuses, sentences
from sightline.evaluation.scorers.reasoning import without_thought
from sightline.evaluation.scorers.verdicts import UNPARSED
from sightline.evaluation.task import Item, Verdict

_EMPHASIS = re.compile(r"(\*{1,3}|_{2,3}|`+)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_LINE_MARKS = re.compile(r"^\s*(?:#{1,6}|>|[-*+•])\s+", re.MULTILINE)
_CUE = re.compile(
    r"\b(?:answer|result)\b(?:[^.\n:]{0,40}?\b(?:is|are|be)\b|\s*[:=]|\s*(?=\n))[\s:=]*"
    r"|(?:答案|回答|答え|正解|정답|답)\s*(?:[:：是为は은]|です)\s*"
    r"|\b(?:antwort|réponse|respuesta|risposta|resposta|ответ)\b\s*(?:ist|lautet|est|es|è|é|[:—-])[\s:]*",
    re.IGNORECASE,
)


def judge_short(item: Item, answer: str, score: Callable[[str], float]) -> Verdict:
    """The best score among what the answer can be read as; without any, a refusal or nothing at all is unparsed."""
    readings = read_short(answer)
    if not readings:
        return UNPARSED
    scores = [score(reading) for reading in readings]
    best = max(scores)
    if best == 0.0 and refuses(readings[-1]):
        return UNPARSED
    return Verdict(best, readings[scores.index(best) if best else -1])


def read_short(answer: str) -> list[str]:
    """What the answer says, from all of it to its final phrase; empty where it says nothing.

    >>> read_short("<think>Red?</think>The answer is **blue**.")
    ['The answer is **blue**.', 'The answer is blue.', 'blue.']
    """
    whole = without_thought(answer)
    unwrapped = after_reasoning(answer)
    plain = without_markup(unwrapped)
    said = without_markup(boxed(unwrapped) or "") or _behind_cue(plain)
    return [text for text in dict.fromkeys((whole, plain, said)) if text] if unwrapped else []


def without_markup(text: str) -> str:
    """Without Markdown's emphasis and line marks, and without quotes around all of it."""
    while (bare := _EMPHASIS.sub(r"\2", text)) != text:
        text = bare
    bare = _LINE_MARKS.sub("", text).strip()
    quoted = len(bare) > 2 and bare[0] + bare[-1] in ('""', "''", "“”", "‘’", "「」", "«»")
    return bare[1:-1].strip() if quoted and bare[0] not in bare[1:-1] else bare


def _behind_cue(text: str) -> str:
    cues = list(_CUE.finditer(text))
    said = sentences(text[cues[-1].end() :]) if cues else []
    return without_markup(said[0]) if said else ""
