"""Read "yes" or "no" from an answer: POPE, MME, VLMEvalKit and lmms-eval each in their own way, and `strict`.

Sources, described rule by rule: AoiDragon/POPE evaluate.py at 08d957b; MME's tool in the copy at zjunlp/Deco fee8d75;
VLMEvalKit dataset/utils/yorn.py at e8e78f0; lmms-eval 0.7.3 tasks/mme and tasks/pope.
"""

from __future__ import annotations

import re

from sightline.evaluation.normalise import vlmevalkit_punctuation
from sightline.evaluation.scorers.final_answer import after_reasoning, boxed
from sightline.evaluation.task import Item

_MEANING = {"yes": "yes", "yeah": "yes", "yep": "yes", "true": "yes", "no": "no", "nope": "no", "false": "no"}
_OPENING = re.compile(r"\W*(yes|yeah|yep|true|no|nope|false)\b(?!\s+(?:one|longer)\b)", re.IGNORECASE)
_CUE = re.compile(r"\banswer(?:\s+is|\s*:)+\W*(yes|no|true|false)\b", re.IGNORECASE)
_SAID = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def read_strict(item: Item, answer: str) -> str | None:
    """The word after the last "answer is", else the opening word, else the only one of yes and no that occurs.

    >>> read_strict(item, "**No**, there is no dog."), read_strict(item, "I cannot tell.")
    ('no', None)
    """
    text = after_reasoning(answer)
    text = boxed(text) or text
    if cues := _CUE.findall(text):
        return _MEANING[cues[-1].lower()]
    if opening := _OPENING.match(text):
        return _MEANING[opening.group(1).lower()]
    said = {word.lower() for word in _SAID.findall(text)}
    return said.pop() if len(said) == 1 else None


def read_pope(item: Item, answer: str) -> str:
    """POPE: "no" where the first sentence has the word No, no or not, and "yes" for everything else."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"}.intersection(words) else "yes"


def read_mme(item: Item, answer: str) -> str | None:
    """MME: the whole answer, else which of yes and no its first four characters contain, yes first."""
    return _first_letters(answer.lower())


def read_lmms_eval_mme(item: Item, answer: str) -> str | None:
    """lmms-eval on MME: the same without periods and outer blanks, and a single y or n."""
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text)
    return _first_letters(text)


def read_lmms_eval_pope(item: Item, answer: str) -> str | None:
    """lmms-eval on POPE: nothing but the word itself; "Yes." is unparsed."""
    text = answer.lower().strip()
    return text if text in ("yes", "no") else None


def read_vlmevalkit(item: Item, answer: str) -> str | None:
    """VLMEvalKit: which of yes and no is a word of the answer, if one alone is; punctuation goes by VQA's rules."""
    words = set(vlmevalkit_punctuation(answer.lower()).split())
    said = words & {"yes", "no"}
    return said.pop() if len(said) == 1 else None


def _first_letters(text: str) -> str | None:
    if text in ("yes", "no"):
        return text
    return next((word for word in ("yes", "no") if word in text[:4]), None)
