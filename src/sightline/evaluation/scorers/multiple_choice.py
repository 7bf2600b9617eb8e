"""Read the option that an answer chooses, and never guess: `strict` for every task with options."""

from __future__ import annotations

import re
from collections.abc import Callable

from sightline.evaluation.scorers.final_answer import after_reasoning, boxed, refuses, sentences
from sightline.evaluation.scorers.option_texts import only_option_in, option_at_start
from sightline.evaluation.scorers.statements import stated
from sightline.evaluation.scorers.verdicts import letters_of
from sightline.evaluation.task import Item

_MARKS = " \t\n*_`\"'“”‘’()[]{}<>.:,;!#$："
_AMBIGUOUS = ""
_LETTERS = frozenset("ABCDEFGH")
_CHOOSES = r"\b(?i:answer|(?:option|choice)\s+letter)\s+is:?\s+[*(]*[{letters}]\b(?!\s*[=+*/^])"

# A letter in any dress: (B) **B** "B" $B$ \text{B}; what stands around it is judged by the caller.
_DRESSED = (
    r"[\s*_`\"'“‘(\[{{$（]*(?:\\?(?:text|textbf|mathrm|mathbf|boxed)\{{\s*\(?)*(?P<letter>[{letters}])(?!['’]?\w)"
)
_ANSWER_IS = re.compile(
    r"\b(?:answer|(?:correct|right|best|final)\s+(?:option|choice)|(?:option|choice)\s+letter|option\s+is|choice\s+is"
    r"|I(?:\s+(?:will|would)|['’](?:ll|d))\s+(?:select|choose|pick))\b"
    r"(?:[^.\n:]{0,60}?\b(?:is|be|are)\b)?[\s:=*]*(?:(?:option|choice|letter)\b\s*)?|答案[^\nA-Z:：]{0,6}[:：]?\s*|选",
    re.IGNORECASE,
)
# What follows a letter that opens an answer as its label, and not as the article "A".
_ENDS_LABEL = re.compile(r"[*_`\"'”’\]}$]*(?:[.):,\n（）：]|\s*$|\s*[-–—]\s|\s+is\s+(?:the\s+)?(?:correct|right))")
_JOINS = r"[)\]*\s]*(?:,|;|/|&|\band\b|\bor\b)\s*(?:option\s+)?[(*\"']*([{letters}])(?!['’]?\w|\s+[a-z])"
_OPTION = re.compile(r"\b(?:option|choice)\s+", re.IGNORECASE)
_MARKED = r"\*\*\(?([{letters}])\)?\*\*|\b(?:is|be)\s+\(([{letters}])\)(?![^.\n]*\b(?:and|or)\s+\()"
_DENIES = re.compile(r"\b(?:not|cannot|never)\b|n['’]t\b", re.IGNORECASE)
_RULED_OUT = re.compile(r"[^.\n]{0,25}?\b(?:incorrect|wrong|false|not|isn't|cannot)\b", re.IGNORECASE)


def read_strict(item: Item, answer: str) -> str | None:
    """The letter of the chosen option, or None where the answer names none, or several.

    Tried in this order: LaTeX's box; the whole answer; the last "answer is ..." or "Answer: ...", which may be a letter
    that no option has; the letter or option text that the answer opens with; a letter that closes it; the only letter
    in bold or behind "is"; the only "option X" that is not ruled out; the only letter in brackets; the only option
    whose text the last telling sentence holds; for yes and no, a sentence that affirms or denies what was asked.

    >>> read_strict(item, "**B**"), read_strict(item, "The answer is (b)."), read_strict(item, "A or B")
    ('B', 'B', None)
    """
    text = after_reasoning(answer)
    readers: tuple[Callable[[Item, str], str | None], ...] = (
        _letter_in_box,
        _whole,
        _after_cue,
        _beyond,
        _at_start,
        _at_end,
        _only_marked,
        _not_ruled_out,
        _only_bracketed,
        _text_in_box,
        _only_text,
        _by_statement,
    )
    for read in readers:
        if (letter := read(item, text)) is not None:
            return letter or None
    return None


# Each reader gives a letter, _AMBIGUOUS where it sees that several are named, or None where it sees nothing.


def _letter_in_box(item: Item, text: str) -> str | None:
    letter = _match_letter(item, boxed(text) or "")
    return letter["letter"] if letter else None


def _text_in_box(item: Item, text: str) -> str | None:
    return option_at_start(item, boxed(text) or "")


def _whole(item: Item, text: str) -> str | None:
    bare = text.strip(_MARKS)
    if len(bare) == 1 and bare.upper() in letters_of(item):
        return bare.upper()
    return option_at_start(item, text, whole=True)


def _after_cue(item: Item, text: str) -> str | None:
    found = None
    for cue in _ANSWER_IS.finditer(text):
        said = None if _DENIES.search(cue.group()) else _phrase(item, text[cue.end() :])
        found = found if said is None else said
    return found


def _beyond(item: Item, text: str) -> str | None:
    """_AMBIGUOUS where the answer chooses a letter that no option has, whatever else it says."""
    beyond = "".join(sorted(_LETTERS - set(letters_of(item)))) or "-"
    return _AMBIGUOUS if re.search(_CHOOSES.format(letters=beyond), text) else None


def _at_start(item: Item, text: str) -> str | None:
    # "A: no" is how question and answer are marked, not the first option.
    if (marked := re.match(r"A\s*[:-]\s*", text)) and (said := option_at_start(item, text[marked.end() :])):
        return said
    letter = _match_letter(item, text)
    if letter and _ENDS_LABEL.match(text[letter.end() :]):
        return _unless_listed(item, text, letter)
    return option_at_start(item, text)


def _at_end(item: Item, text: str) -> str | None:
    letter = re.search(rf"(?:^|[\n.。:：,，]|为|是|\bis\b)\s*[*(（]*([{_set(item)}])[*)）]*[\s.。]*$", text)
    return letter.group(1) if letter else None


def _only_marked(item: Item, text: str) -> str | None:
    said = re.findall(_MARKED.format(letters=_set(item)), text)
    return _only({bold or bracketed for bold, bracketed in said}) or None


def _not_ruled_out(item: Item, text: str) -> str | None:
    said = set()
    for cue in _OPTION.finditer(text):
        letter = _match_letter(item, text[cue.end() :])
        if letter and not _RULED_OUT.match(text[cue.end() + letter.end() :]):
            said.add(_unless_listed(item, text[cue.end() :], letter))
    return _only(said)


def _only_bracketed(item: Item, text: str) -> str | None:
    return _only(set(re.findall(rf"(?<!not )(?<!n't )\(([{_set(item)}])\)", text)))


def _only_text(item: Item, text: str) -> str | None:
    for sentence in reversed(sentences(text)):
        if sentence.endswith("?") or (letter := only_option_in(item, sentence)) is None:
            continue
        # "It cannot be determined" is a refusal, unless it is one of the options.
        option = item.options[ord(letter) - ord("A")] if letter else ""
        return letter if refuses(option) or not refuses(text) else None
    return None


def _by_statement(item: Item, text: str) -> str | None:
    """For yes/no options: whether the answer affirms or denies what was asked."""
    spelled = [option.strip().lower() for option in item.options]
    if sorted(spelled) != ["no", "yes"]:
        return None
    said = stated(item.question, text)
    return None if said is None else letters_of(item)[spelled.index(said)]


def _phrase(item: Item, phrase: str) -> str | None:
    """What a phrase behind a cue says: a letter, unless it is the article, or an option's text."""
    letter = _match_letter(item, phrase, either_case=True)
    if letter and not _is_word(letter["letter"], phrase[letter.end() :]):
        return _unless_listed(item, phrase, letter)
    return option_at_start(item, phrase)


def _is_word(letter: str, rest: str) -> bool:
    """Whether a bare letter is the article in "a dog", or opens a word or a formula."""
    plain = re.match(r"\s+[a-z\d]|\s*[=+*/^]\s*\w|-\w|\s-\s[a-z\d]", rest)
    return bool(plain) and (letter in "aA" or letter.islower() or not re.match(r"\s+[a-z]", rest))


def _unless_listed(item: Item, text: str, letter: re.Match[str]) -> str:
    goes_on = re.match(_JOINS.format(letters=_set(item)), text[letter.end() :])
    return _AMBIGUOUS if goes_on else letter["letter"].upper()


def _match_letter(item: Item, text: str, either_case: bool = False) -> re.Match[str] | None:
    letters = _set(item)
    return re.match(_DRESSED.format(letters=letters + letters.lower() if either_case else letters), text)


def _only(said: set[str]) -> str | None:
    return said.pop() if len(said) == 1 else _AMBIGUOUS if said else None


def _set(item: Item) -> str:
    return letters_of(item) or "-"
