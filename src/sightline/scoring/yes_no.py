"""Read "yes" or "no" from an answer, by the rules of POPE, MME, VLMEvalKit, lmms-eval and `strict`.

Sources, described rule by rule: AoiDragon/POPE evaluate.py at 08d957b; MME's tool in the copy at zjunlp/Deco fee8d75;
VLMEvalKit dataset/utils/yorn.py at e8e78f0; lmms-eval 0.7.3 tasks/mme and tasks/pope.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sightline.scoring import phrases
from sightline.scoring.final_answer import after_reasoning, boxed, sentences
from sightline.scoring.normalise import vlmevalkit_punctuation
from sightline.scoring.records import Item

_YES, _NO = phrases.any_of("yes", "agrees"), phrases.any_of("no", "disagrees")
_WORD = f"(?:(?P<no>{_NO})|(?P<yes>{_YES}))"
_END = r"(?!\.?\s*\d)[\s\"'”’」)\]]*(?=$|[.,;:!(\n。、—–-])"
_WHOLE = re.compile(rf"\W*{_WORD}\W*", re.IGNORECASE)
_OPENING = re.compile(rf"\W*{_WORD}{_END}", re.IGNORECASE)
_CUE = re.compile(rf"{phrases.any_of('announces', 'statements')}[\s:=\"'“—–-]*{_WORD}(?!\w)", re.IGNORECASE)
_INTERJECTION = f"(?:(?P<no>{phrases.any_of('no')})|(?P<yes>{phrases.any_of('yes')}))"
_OPENING_A_SENTENCE = re.compile(rf"\W*{_INTERJECTION}\s+(?={phrases.any_of('subjects')})", re.IGNORECASE)
_SAID = re.compile(rf"(?:^|[\s\"'(,]){_INTERJECTION}{_END}", re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<!\w){_INTERJECTION}(?!\w)", re.IGNORECASE)
_DENIES = phrases.finder("denies")
_DENIED = phrases.finder("denies", "doubts", after=r"\s*$")
_REFUSES = phrases.finder("refuses")
_SUPPOSES = phrases.finder("conditions", "hedges")
_JOINED = re.compile(rf"\s*(?:{phrases.any_of('joins')})\s*{_WORD}{_END}", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?。\n]")
_SEVERAL = ""


def asks_so(options: Iterable[str]) -> list[str]:
    """["yes", "no"] in the order of two options that say so in any language, else an empty list."""
    said = [_spoken(option) for option in options]
    return [word for word in said if word] if sorted(map(str, said)) == ["no", "yes"] else []


def read_strict(item: Item, answer: str) -> str | None:
    """What is announced, the opening word, what a sentence says of the question, or the only one of yes and no.

    >>> read_strict(item, "**No**, there is no dog."), read_strict(item, "No image was provided.")
    ('no', None)
    """
    # Most answers are the word alone, and benchmarks have 9,000 of them.
    if said := _spoken(answer):
        return said
    text = after_reasoning(answer)
    return read(item.question, boxed(text) or text)


def read(question: str, answer: str) -> str | None:
    """The same of a text without its reasoning."""
    *before_questions, whole = phrases.turns(phrases.plain(answer))
    for part in before_questions:
        if (said := _firm(part)) is not None:
            return said or None
    said = _firm(whole)
    return (_weak(phrases.plain(question), whole) if said is None else said) or None


def _spoken(text: str) -> str | None:
    word = _WHOLE.fullmatch(text)
    return _meaning(word) if word else None


def _meaning(word: re.Match[str]) -> str:
    return "no" if word["no"] else "yes"


def _firm(text: str) -> str | None:
    """The whole answer, what follows a "wait", the last announcement, the last line or the opening word.

    _SEVERAL where they deny, suppose or join, or where the opening word and the last line differ.
    """
    if said := _spoken(text):
        return said
    turned = phrases.after_turn(text)
    if turned is not None and (said := _firm(turned)) is not None:
        return said
    if turned is not None and phrases.takes_back(turned):
        return _SEVERAL
    cues = [cue for cue in _CUE.finditer(text) if not phrases.sentence_around(text, cue.start()).endswith("?")]
    if cues:
        return _of_cue(text, cues[-1])
    opening, last = _opening(text), _spoken(text.rsplit("\n", 1)[-1])
    if opening and last:
        return opening if opening == last else _SEVERAL
    return last or opening


def _of_cue(text: str, cue: re.Match[str]) -> str:
    before = text[phrases.sentence_start(text, cue.start()) : cue.start()]
    word = cue.start("no") if cue["no"] else cue.start("yes")
    denied = _DENIES.search(text[cue.start() : word]) or _DENIED.search(before) or _REFUSES.search(before)
    supposed = _SUPPOSES.search(before) or _SUPPOSES.match(text[cue.end() :].lstrip(" ,"))
    return _SEVERAL if denied or supposed or _joined(text, cue) else _meaning(cue)


def _opening(text: str) -> str | None:
    opening = _OPENING.match(text) or _OPENING_A_SENTENCE.match(text)
    if opening is None:
        return None
    first = re.split(r"[.!?。]\s|\n", text, maxsplit=1)[0]
    conditional = _SUPPOSES.match(text[opening.end() :].lstrip(" ,"))
    # "No, I can't tell" denies nothing.
    refuses = _meaning(opening) == "no" and _REFUSES.search(first)
    return _SEVERAL if conditional or refuses or _joined(text, opening) else _meaning(opening)


def _joined(text: str, word: re.Match[str]) -> bool:
    """Whether the other word follows: "yes and no"."""
    other = _JOINED.match(text, word.end())
    return other is not None and _meaning(other) != _meaning(word)


def _weak(question: str, text: str) -> str | None:
    """The only word of the two, where it stands apart, else what a sentence states of what was asked."""
    if _REFUSES.search(text):
        return None
    words = {_meaning(word) for word in _ANYWHERE.finditer(text)}
    apart = _SAID.search(text)
    if apart and len(words) == 1 and not _SUPPOSES.search(text):
        return None if _DENIES.search(_SENTENCE.split(text[: apart.start()])[-1]) else words.pop()
    return stated(question, text)


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


_SAID_AGAIN = 0.65
"""Share of the question's words that a sentence needs, so that it states the matter and not something near it."""

_DENYING = phrases.finder("double_denials", "lacks", "denies")
_SUPPOSING = phrases.finder("conditions", "hedges", "concedes")
_ASKS_WHETHER_THERE_IS = phrases.finder("exists")
_CLAUSE = re.compile(r"[,;:，；：。、]|\b(?:but|while|although|though|however|as|because|since|which)\b", re.IGNORECASE)
_NOT_THERE = phrases.finder(
    "denies",
    before=r"^\W*(?:is|are|was|were|can|could)?\s*",
    after=r"\s*(?:\w+\s+)?(?:in|visible|present|there|seen|shown)\b",
)
_PREPOSITION = re.compile(r"\b(?:in|on|at|near|by|under|over|behind|beside|with|of|from)\b", re.IGNORECASE)
_COMPARISON = re.compile(r"\w+er|less|more|most|least|\w+est|m[ai][xn]imum|equal")
_MORE = re.compile(r"\b(?:more|greater|larger|bigger|higher|longer|taller)\b", re.IGNORECASE)
_LESS = re.compile(r"\b(?:less|fewer|smaller|lower|shorter)\b", re.IGNORECASE)
_EQUAL = re.compile(r"\b(?:equal\s+to|same\s+as)\b", re.IGNORECASE)
_THAN = re.compile(r"\b(?:than|equal\s+to|same\s+as)\b", re.IGNORECASE)
_FILLERS = frozenset(word for words in phrases.tables()["fillers"].values() for word in words)


def stated(question: str, answer: str) -> str | None:
    """ "yes" or "no" where the answer's first sentence of the matter affirms or denies it; None where none does.

    >>> stated("Is the nest larger than a fist?", "The nest is not larger than a fist.")
    'no'
    >>> stated("Is there a dog?", "I see no dog."), stated("Is there a dog?", "There is a cat.")
    ('no', None)
    """
    asked = _words(question)
    # What affirms a question that denies is not for us to say.
    if not asked or _DENYING.search(question) or _REFUSES.search(answer):
        return None
    if _direction(question) and _THAN.search(question):
        return next(filter(None, (_compared(question, sentence) for sentence in sentences(answer))), None)
    if _ASKS_WHETHER_THERE_IS.search(question):
        return next(filter(None, (_said_to_be(asked, question, sentence) for sentence in sentences(answer))), None)
    return (_said_alone if len(asked) < 2 else _said_again)(asked, question, answer)


def _said_alone(asked: frozenset[str], question: str, answer: str) -> str | None:
    """What a sentence says that has the one word asked for and no other: "The figure is symmetric."."""
    for sentence in sentences(answer):
        if _words(sentence) == asked and not _is_open(sentence, question):
            return _by_denials(len(_DENYING.findall(sentence)))
    return None


def _said_again(asked: frozenset[str], question: str, answer: str) -> str | None:
    compared = {word for word in asked if _COMPARISON.fullmatch(word)}
    for sentence in sentences(answer):
        said = _words(sentence)
        if _is_open(sentence, question) or len(asked & said) < _SAID_AGAIN * len(asked) or not compared <= said:
            continue
        # Of "Is the man wearing a hat?" a sentence that begins with the woman says nothing.
        if not asked <= said and next(iter(_telling_words(sentence)), "") not in asked:
            continue
        of_the_matter = (clause for clause in _CLAUSE.split(sentence) if asked & _words(clause))
        return _by_denials(sum(len(_DENYING.findall(clause)) for clause in of_the_matter))
    return None


def denies(text: str) -> bool:
    """Whether a text has a word of denial."""
    return _DENYING.search(text) is not None


def _is_open(sentence: str, question: str) -> bool:
    """Whether a sentence asks, supposes or concedes, and does not only repeat the question in that."""
    supposed = _SUPPOSING.search(sentence)
    return sentence.endswith(("?", "？")) or (supposed is not None and supposed.group() not in question)


def _by_denials(count: int) -> str | None:
    """None for two denials in a sentence: what they come to is not for us to say."""
    return ("yes", "no", None)[min(count, 2)]


def _said_to_be(asked: frozenset[str], question: str, sentence: str) -> str | None:
    """Whether a sentence says that what is asked for is there: "I see no dog", "A dog is not visible"."""
    if _is_open(sentence, question):
        return None
    thing = _words(_PREPOSITION.split(question)[0])
    for clause in _CLAUSE.split(sentence):
        said = _words(clause)
        # "No boat" and "There is a boat" leave out where.
        if len(asked & said) < _SAID_AGAIN * len(asked) and not (thing and thing <= said <= asked):
            continue
        place = max(clause.lower().rfind(word) for word in asked)
        before, behind = _DENYING.findall(clause[:place]), _NOT_THERE.search(re.sub(r"^\w*", "", clause[place:]))
        return _by_denials(len(before) + (behind is not None))
    return None


def _compared(question: str, sentence: str) -> str | None:
    """The same for "Is A larger than B?", where B may stand first, and smaller and equal deny it."""
    asked, than, direction = _THAN.search(question), _THAN.search(sentence), _direction(sentence)
    if asked is None or than is None or direction is None or _is_open(sentence, question):
        return None
    first, second = _things(question[: asked.start()]), _things(question[asked.end() :])
    left, right = _things(sentence[: than.start()]), _things(sentence[than.end() :])
    first, second = first - second, second - first
    order = len(left & first) + len(right & second) - len(left & second) - len(right & first)
    if order == 0 or len((first | second) & (left | right)) < _SAID_AGAIN * len(first | second):
        return None
    affirmed = order * direction * (_direction(question) or 0) > 0
    if denies(sentence):
        return "no" if affirmed else None
    return "yes" if affirmed else "no"


def _direction(text: str) -> int | None:
    """1 where a text speaks of more, -1 of less, 0 of as much; None where of nothing or of both."""
    if _EQUAL.search(text):
        return 0
    more, less = bool(_MORE.search(text)), bool(_LESS.search(text))
    return None if more == less else int(more) - int(less)


def _things(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if not _COMPARISON.fullmatch(word))


def _words(text: str) -> frozenset[str]:
    """Words that carry meaning, without their endings; of Chinese the single characters."""
    return frozenset(_telling_words(text))


def _telling_words(text: str) -> list[str]:
    words = re.findall(r"[^\W_\u2e80-\u9fff]+|[\u4e00-\u9fff]", _DENYING.sub(" ", text.lower()))
    return [_stem(word) for word in words if word not in _FILLERS]


def _stem(word: str) -> str:
    if len(word) > 4:
        return re.sub(r"(?:ing|es|ed|s)$", "", word)
    return re.sub(r"(?<=[a-z]{2}[^s])s$", "", word)
