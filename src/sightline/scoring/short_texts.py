"""Read a short answer: alone, quoted, behind "The answer is", or in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sightline.scoring.final_answer import (
    FOREIGN_CUES,
    after_reasoning,
    boxed,
    corrected,
    refuses,
    sentences,
    without_markup,
    without_thought,
)
from sightline.scoring.normalise import matches
from sightline.scoring.number_words import spelled
from sightline.scoring.numbers import has_number, read_asked_number, same_number, whole_number
from sightline.scoring.phrases import finder
from sightline.scoring.records import UNPARSED, Item, Verdict
from sightline.scoring.yes_no import read_strict as read_yes_no

_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)\*\*")
_CUE = re.compile(
    r"\b(?:answer|result)\b(?:[^.\n:]{0,40}?\b(?:is|are|be)\b|\s*[:=]|\s*(?=\n))[\s:=]*"
    rf"|^\W*(?:response|output|prediction)\s*:\s*|{FOREIGN_CUES}",
    re.IGNORECASE | re.MULTILINE,
)
_CONCLUDES = re.compile(r"\W*(?:therefore|thus|hence|so|in\s+(?:conclusion|summary)|所以|因此)\b", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"n/?a|unknown|none\s+given|not\s+(?:mentioned|stated|specified|given|shown|indicated|available|listed|known|applicable)",
    re.IGNORECASE,
)
_COPULA_BEHIND = re.compile(r"(?:です|でした|입니다|이에요|예요)[。.\s]*$")
_UNIT_APART = re.compile(r"(?<=\d)\s+(?=[a-zµ°]{1,3}\b)", re.IGNORECASE)  # "12 kg" and "12kg"
_SIGNS_BEHIND = re.compile(r"(?<=\w)[+-]+(?=[\s.,;]|$)")  # B+ is no B, which VQA's spelling would make it
_TELLS_NOTHING = re.compile(
    r"\?$|^(?:sure|certainly|of\s+course|okay|ok|great\s+question|absolutely)\W*$", re.IGNORECASE
)
_LONGEST = 12  # letters of an abbreviation and what stands before it
_ABBREVIATION = re.compile(
    r"\b(?:st|mr|mrs|ms|dr|mt|jr|sr|vs|no|inc|ltd|co|corp|ave|blvd|rd|prof|gen|dept|vol|approx|ft|[A-Z]|[ap]\.m|u\.s)\.$",
    re.IGNORECASE,
)


def judge_short(item: Item, answer: str, score: Callable[[str], float]) -> Verdict:
    """The best score among what the answer can be read as.

    Without any it is wrong, unless it refuses, says nothing, or gives several numbers where one is due: then unparsed.
    """
    best, said = 0.0, ""
    for said in readings(item, answer):
        if (one := score(said)) == 1.0:
            return Verdict(1.0, said)
        if one > best:
            best, best_said = one, said
    if best:
        return Verdict(best, best_said)
    plain = after_reasoning(answer)
    told = final_phrase(plain) or plain
    unread = (
        refuses(told)
        or _NO_ANSWER.fullmatch(said.strip(" .")) is not None
        or (_asks_number(item) and has_number(told) and not _number(item, plain))
    )
    return UNPARSED if unread or not said else Verdict(0.0, said)


def readings(item: Item, answer: str) -> Iterator[str]:
    """What the answer says, from all of it to its final phrase; nothing where it says nothing.

    Where yes or no is due, what its reader finds; otherwise what the telling sentence says beyond the question, what
    alone is bold, and the number where one is due.
    """
    unwrapped = after_reasoning(answer)
    if not unwrapped:
        return
    plain = without_markup(unwrapped)
    one_word = plain.isascii() and plain.isalnum()
    said = "" if one_word else final_phrase(unwrapped)
    told = plain if one_word else said or _telling_sentence(plain)
    texts = [without_thought(answer), plain, told]
    if any(gold.strip().lower() in ("yes", "no", "true", "false") for gold in item.answers):
        texts += _spellings_of(read_yes_no(item, answer))
    else:
        bold = set(_BOLD.findall(unwrapped))
        texts += [] if one_word else restated(item.question, told)
        texts += [] if said or len(bold) != 1 or re.search(r"\bnot\b|n['’]t\b", told) else bold
        texts += [_number(item, unwrapped)] if _asks_number(item) else []
    yield from (text for text in dict.fromkeys(texts) if text)


def same_text(said: str, gold: str) -> bool:
    """Whether two short texts say the same: in VQA's spelling, or as numbers."""
    if whole_number(said) and whole_number(gold):
        return same_number(said, gold)
    if _SIGNS_BEHIND.findall(said) != _SIGNS_BEHIND.findall(gold):
        return False
    if matches(said, (gold,)):
        return True
    one, two = _UNIT_APART.sub("", spelled(said)), _UNIT_APART.sub("", spelled(gold))
    return (one, two) != (said.strip(), gold.strip()) and matches(one, (two,))


def final_phrase(unwrapped: str) -> str:
    """What the box holds, else what stands behind the last "The answer is"; nothing where there is neither."""
    plain = without_markup(unwrapped)
    return without_markup(boxed(unwrapped) or "") or _behind_cue(corrected(plain)) or _behind_cue(plain)


def _behind_cue(text: str) -> str:
    cues = list(_CUE.finditer(text))
    said = _phrases(text[cues[-1].end() :]) if cues else []
    return without_markup(_COPULA_BEHIND.sub("", said[0])) if said else ""


def _telling_sentence(text: str) -> str:
    """The last sentence where it concludes or the text corrects itself, else the first; questions aside."""
    stated = [sentence for sentence in _phrases(text) if not _TELLS_NOTHING.search(sentence)]
    if not stated:
        return ""
    return stated[-1] if _CONCLUDES.match(stated[-1]) or corrected(text) else stated[0]


def _phrases(text: str) -> list[str]:
    """Sentences, also where abbreviations end within them."""
    parts: list[str] = []
    for part in sentences(text):
        if parts and _ABBREVIATION.search(parts[-1][-_LONGEST:]):
            parts[-1] += f" {part}"
        else:
            parts.append(part)
    return parts


def _spellings_of(said: str | None) -> tuple[str, ...]:
    """Yes is true and no is false, as the gold answer may be written either way: CSV files write booleans so."""
    return {"yes": ("yes", "true"), "no": ("no", "false")}[said] if said else ()


def _asks_number(item: Item) -> bool:
    return any(whole_number(gold) is not None for gold in item.answers)


def _number(item: Item, text: str) -> str:
    number = read_asked_number(item.question, text)
    return number.currency + number.written if number else ""


_FILLERS = frozenset(
    (
        "a an the it its this that these those there they he she his her their you we i it's that's there's is are "
        "was were be been being am of to like have has had do does did can could may might would will appears appear "
        "seems seem looks look think believe see probably likely maybe perhaps possibly about around roughly says say "
        "said reads read states stated written shown shows show depicted depicts visible called named labeled "
        "labelled displayed name image picture photo photograph figure scene document page sign text answer and so "
        "thus therefore hence yes by chart graph bar slice legend playing"
    ).split()
)
_PREPOSITIONS = frozenset("in on at of by for with from to into as near inside".split())
_PLACES = frozenset("in on at".split())
_ASKING = frozenset("what which who whos where when how why many much".split())
_COPULAS = frozenset("is are was were be says reads states equals".split())
_WORD_ENDING = re.compile(r"(?:ing|es|ed|s|e|d)$")
_MARKS = " \t\n.,;:!?\"'“”‘’()[]*"
_QUOTED = re.compile(r"[\"“«「]([^\"”»」\n]+)[\"”»」]")
_SIDE_CLAUSE = re.compile(
    r",?\s+(?:because|since|as\s+(?:shown|seen|can|indicated|it|the|there)|which|based\s+on|according\s+to)\b.*$"
    r"|(?<=\w)\s+[(—–].*$|,\s+(?:and\s+|but\s+)?not\s.*$",
    re.IGNORECASE | re.DOTALL,
)
_OPENING_CLAUSE = re.compile(
    r"^(?:according\s+to|based\s+on|from|in|as|looking\s+at)\b[^,]*,\s*|^(?:sure|certainly|so)[,!]\s*", re.IGNORECASE
)


# "The car is blue" in languages that restated() does not take word by word: its subject, and what is said of it.
_SAID_OF = tuple(
    re.compile(rf"(?P<subject>{subject}){copula}(?P<said>[^,;，；]{{1,60}}?){end}[.。!！]?", re.IGNORECASE)
    for subject, copula, end in (
        (r"[^，。\s]{1,24}?", "(?:是|为|為)", "的?"),  # Chinese
        (r"[^、。\s]{1,24}?", "[はが]", "(?:です|でした|だ|である)?"),  # Japanese
        (r".{1,24}?", r"[은는이가]\s+", "(?:입니다|이에요|예요|이다)"),  # Korean
        (r".{1,60}?", r"\s(?:ist|sind|est|sont|es|son|é|são|è|sono|—|это)\s", ""),
    )
)
_ARTICLES = frozenset(
    "der die das den dem ein eine einen le la les l un une des el los las una il lo gli i uno o a os as um uma".split()
)
_DENIES = finder("denies")


def restated(question: str, sentence: str) -> Iterator[str]:
    """What is left of a sentence without the question's words and fillers at its ends; then what it quotes.

    >>> list(restated("What is the man holding?", "The man is holding a tennis racket."))
    ['tennis racket']
    """
    asked = {_stem(word) for word in question.split()}
    plain = _OPENING_CLAUSE.sub("", _SIDE_CLAUSE.sub("", sentence.strip()))
    words = plain.split()
    left = _subject_end(words, asked)
    said = _trimmed(words[left:], asked)
    yield said
    if said.lower().startswith(tuple(f"{place} " for place in _PLACES)):
        yield _trimmed(said.split()[1:], asked)
    if left:
        yield _trimmed(words, asked)
    yield from _said_elsewhere(question, plain)
    quoted = _QUOTED.findall(sentence)
    if len(quoted) == 1 and _stem(quoted[0]) not in asked and not re.search(r"\bnot\b|n['’]t\b", sentence):
        yield quoted[0].strip(_MARKS)


def _said_elsewhere(question: str, sentence: str) -> Iterator[str]:
    """What a sentence of another language says of a subject whose words are all the question's."""
    if sentence.isascii() and not _SAID_OF[-1].fullmatch(sentence):
        return
    for pattern in _SAID_OF:
        found = pattern.fullmatch(sentence.strip())
        if found is None or _DENIES.search(sentence):
            continue
        words = [_bare(word) for word in found["subject"].split()]
        if all(word in _ARTICLES or word in question.lower() or set(word) <= set(question) for word in words):
            said = found["said"].strip(_MARKS)
            first, _, rest = said.partition(" ")
            yield from (said, rest) if first.lower() in _ARTICLES and rest else (said,)
            return


def _subject_end(words: list[str], asked: set[str]) -> int:
    """Where the predicate begins: behind the last "is" whose subject only repeats the question; 0 where none does.

    A subject that has all that was asked for may say more behind a preposition: "The author of this book is".
    """
    end, seen, open_to_more = 0, set(), False
    wanted = {word for word in asked if word not in _FILLERS and word not in _ASKING}
    for index, word in enumerate(words):
        seen.add(_stem(word))
        if word.lower() in _COPULAS and index:
            end, open_to_more = index + 1, False
        elif word.lower() in _PREPOSITIONS or _bare(word) == "of":
            open_to_more = open_to_more or (bool(wanted) and wanted <= seen)
        elif not _is_known(word, asked) and not open_to_more:
            break
    return end


def _trimmed(words: list[str], asked: set[str]) -> str:
    start, end = 0, len(words)
    while start < end and _is_known(words[start], asked):
        start += 1
    while end > start and (_is_known(words[end - 1], asked) or _bare(words[end - 1]) in _PREPOSITIONS):
        end -= 1
    return " ".join(words[start:end]).strip(_MARKS)


def _is_known(word: str, asked: set[str]) -> bool:
    bare = _bare(word)
    return not bare or bare in _FILLERS or _stem(bare) in asked


def _bare(word: str) -> str:
    return word.strip(_MARKS).lower()


def _stem(word: str) -> str:
    bare = _bare(word).replace("colour", "color").replace("’", "'").removesuffix("'s")
    return _WORD_ENDING.sub("", bare) if len(bare) > 3 else bare
