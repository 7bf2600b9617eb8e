"""Cut off what a reasoning model thought before it answered: by the marks of every family, or as lmms-eval does."""

from __future__ import annotations

import re

from sightline.scoring.records import Item, Scorer, Verdict

_NAMES = "think|thinking|thoughts?|analysis|reasoning|reflection|scratchpad|seed:think|longcat_think"
# How thought begins and ends, by who marks it so; any of the ends closes any of the beginnings.
_MARKS = (
    (rf"<\s*(?:{_NAMES})\s*>", rf"<\s*/\s*(?:{_NAMES})\s*>"),  # most families
    (r"◁think▷", r"◁/think▷"),  # Kimi
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker
    (r"<\|channel>thought\b", r"<channel\|>"),  # Gemma 4
    (r"<unused94>(?:thought\b)?", r"<unused95>"),  # MedGemma
    (r"^\s*Here(?:['’]s| is) my thought process:", r"\bHere(?:['’]s| is) my response:"),  # Granite
    (r"^\s*Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]"),  # Apriel
)
_OPENS = "|".join(opening for opening, _ in _MARKS)
_CLOSES = "|".join(closing for _, closing in _MARKS)
_CLOSED = re.compile(rf"(?:{_OPENS}).*?(?:{_CLOSES})", re.DOTALL | re.IGNORECASE)
_ANY_CLOSE = re.compile(_CLOSES, re.IGNORECASE)
_BEFORE_CLOSE = re.compile(rf"^.*(?:{_CLOSES})", re.DOTALL | re.IGNORECASE)
_NEVER_ENDED = re.compile(rf"(?:{_OPENS}).*$", re.DOTALL | re.IGNORECASE)
# GPT-OSS: channels with their marks, or glued together where special tokens were left out of the text.
_FINAL_CHANNEL = re.compile(r"^.*(?:<\|channel\|>\s*final\b[^<]*<\|message\|>|assistantfinal)", re.DOTALL)
_OTHER_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>.*$|^\s*analysis(?=[A-Z\"'“*]).*$", re.DOTALL)
_TURN_ENDS = re.compile(
    r"(?:<\|(?:im_end|endoftext|eot_id|eom_id|end|end_of_text|return|END_RESPONSE|END_OF_TURN_TOKEN|end_of_solution)\|>"
    r"|</s>|<end_of_turn>|<turn\|>|<eos>|\[END FINAL RESPONSE\]).*$",
    re.DOTALL,
)
_TURN_BEGINS = re.compile(r"^\s*<\|(?:START_RESPONSE|begin_of_solution|START_OF_TURN_TOKEN)\|>")
# Most answers are a few words without any of these: a look for one is a hundred times faster than all the patterns.
_MAY_HOLD_THOUGHT = re.compile(r"[<◁\[]|analysis|assistantfinal|\bHere\b", re.IGNORECASE)

_LMMS_EVAL_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def without_thought(answer: str) -> str:
    """The answer without its thought; of thought that never ends what stands before it, mostly nothing.

    >>> without_thought("<think>Is it A?</think>B"), without_thought("Is it A?◁/think▷B"), without_thought("<think>A")
    ('B', 'B', '')
    """
    if not _MAY_HOLD_THOUGHT.search(answer):
        return answer.strip()
    said = _OTHER_CHANNEL.sub("", _FINAL_CHANNEL.sub("", answer))
    ends = [close.end() for close in _ANY_CLOSE.finditer(said)]
    if ends:  # behind the last of them none is looked for, which would take its square in time
        said = _CLOSED.sub("", said[: ends[-1]]) + said[ends[-1] :]
    said = _NEVER_ENDED.sub("", _BEFORE_CLOSE.sub("", said))
    return _TURN_ENDS.sub("", _TURN_BEGINS.sub("", said)).strip()


def without_lmms_eval_tags(answer: str) -> str:
    """What lmms-eval scores: pairs of its two tags and what they hold are gone, and so is what leads to a lone end.

    Tags are case-sensitive there, and thought that never ends stays. Source, described: lmms-eval 0.7.3
    lmms_eval/api/reasoning.py with the default of --reasoning_tags.
    """
    said = answer
    for opening, closing in _LMMS_EVAL_TAGS:
        while (start := said.find(opening)) >= 0 and (end := said.find(closing, start)) >= 0:
            said = said[:start] + said[end + len(closing) :]
        if opening not in said:
            said = said.rsplit(closing, 1)[-1]
    return said.strip()


def as_lmms_eval(scorer: Scorer) -> Scorer:
    """The scorer on what lmms-eval would hand to it."""

    def score(item: Item, answer: str) -> Verdict:
        return scorer(item, without_lmms_eval_tags(answer))

    return score
