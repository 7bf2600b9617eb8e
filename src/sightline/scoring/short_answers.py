"""Scorers of short answers: own rows, ChartQA, OCRBench, VisOnlyQA, DocVQA, by other tools' rules and `strict`.

Sources, described: Masry et al., 2022, "ChartQA", and VLMEvalKit dataset/utils/vqa_eval.py at e8e78f0 (after
pix2struct); Yuliang-Liu/MultimodalOCR OCRBench/example.py at 794c36d and lmms-eval 0.7.3 tasks/ocrbench; of ANLS Biten
et al., 2019, "Scene text visual question answering", and lmms-eval 0.7.3 api/metrics.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sightline.scoring import multiple_choice, yes_no
from sightline.scoring.final_answer import after_reasoning, boxed, declines
from sightline.scoring.multiple_choice import read_strict
from sightline.scoring.numbers import whole_number
from sightline.scoring.options import mentions
from sightline.scoring.phrases import finder, plain, turns
from sightline.scoring.records import UNPARSED, Item, Verdict, matching
from sightline.scoring.short_texts import judge_short, same_text

_score_choice = matching(read_strict)


def score_exact(item: Item, answer: str) -> Verdict:
    """Right where the answer says one of the gold answers, in VQA's spelling or as a number.

    Where the question itself lists options and the gold answer is one of them, the option that the answer chooses.
    """
    asked = with_asked_options(item)
    if asked.options:
        return _score_choice(asked, answer)
    return judge_short(item, answer, lambda said: float(any(same_text(said, gold) for gold in item.answers)))


_ASKED_LABEL = re.compile(r"(?:^|(?<=[\s:?：？、,;]))[(（]?([A-J])[).:）：、．](?=\s*\S)\s*")
_ENDS = " \t\n,;|"


def with_asked_options(item: Item) -> Item:
    """The item with the options that its question lists, where every gold answer is one of them; else as it is.

    A gold answer may be the letter, the text, or both, in any case: such rows say the letter, and models the rest.
    """
    options = _listed(item.question)
    letters = [_letter_of(gold, options) for gold in item.answers]
    if not letters or not all(letters):
        return item
    return replace(item, options=tuple(options), answers=tuple(dict.fromkeys(letters)))


def _listed(question: str) -> list[str]:
    """The texts behind labels A, B, ... in their order, the last such run of at least two."""
    run: list[re.Match[str]] = []
    for label in _ASKED_LABEL.finditer(question):
        if label[1] == "A":
            run = [label]
        elif run and ord(label[1]) == ord(run[-1][1]) + 1:
            run.append(label)
    if len(run) < 2:
        return []
    ends = [*(label.start() for label in run[1:]), len(question)]
    texts = [question[label.end() : end].strip(_ENDS) for label, end in zip(run, ends, strict=True)]
    texts[-1] = texts[-1].split("\n")[0].strip(_ENDS)  # what follows on further lines asks for the form of the answer
    return texts if all(texts) else []


def _letter_of(gold: str, options: Sequence[str]) -> str:
    """The letter that a gold answer means; empty where it means no option, or two."""
    said = gold.strip().rstrip(".")
    label = _ASKED_LABEL.match(said)
    letters = [chr(ord("A") + place) for place in range(len(options))]
    if said.strip("()").upper() in letters:
        return said.strip("()").upper()
    bare = said[label.end() :] if label else said
    named = [letter for letter, text in zip(letters, options, strict=True) if _flat(text) == _flat(bare)]
    return named[0] if len(named) == 1 and (not label or label[1] == named[0]) else ""


def _flat(text: str) -> str:
    return text.strip().rstrip(".").lower()


TOLERANCE = 0.05


def score_chartqa_vlmevalkit(item: Item, answer: str) -> Verdict:
    """Right within 5% of a gold number, per cent being hundredths, or equal as lower-case text.

    A gold of zero has no 5%, and thousands commas are no part of a number: both are compared as texts.
    """
    return Verdict(float(any(_relaxed(answer, gold) for gold in item.answers)), answer)


def score_chartqa(item: Item, answer: str) -> Verdict:
    """The same for what the answer says, with numbers in any spelling: "$1,500.", "3/4", "2.5 million"."""
    return judge_short(item, answer, lambda said: float(any(_agree(said, gold) for gold in item.answers)))


def _agree(said: str, gold: str) -> bool:
    number, target = whole_number(said), whole_number(gold)
    if number is None or target is None or not target.value:
        return same_text(said, gold)
    return any(abs(one - two) <= TOLERANCE * abs(two) for one in number.values() for two in target.values() if two)


def _relaxed(said: str, gold: str) -> bool:
    number, target = _number(said), _number(gold)
    if number is not None and target:
        return abs(number - target) / abs(target) <= TOLERANCE
    return said.lower() == gold.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


FORMULAS = "HME100k"
"""The source data set (`facts["dataset"]`) whose golds are LaTeX: case counts, blanks do not."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def score_ocrbench_official(item: Item, answer: str) -> Verdict:
    """Right where any gold is part of the answer; an empty gold is part of everything."""
    said = _spelled(item, answer)
    return Verdict(float(any(_spelled(item, gold) in said for gold in item.answers)), said)


def score_ocrbench_lmms_eval(item: Item, answer: str) -> Verdict:
    """The same with full-width letters, digits and marks folded to ASCII, formulas aside."""
    said = _folded(item, answer)
    return Verdict(float(any(_folded(item, gold) in said for gold in item.answers)), said)


def score_ocrbench(item: Item, answer: str) -> Verdict:
    """Right where the answer behind its reasoning contains a gold that is not empty; refusals are unparsed."""
    text = after_reasoning(answer)
    said = "" if declines(text) else _spelled(item, text)
    golds = [gold for gold in (_spelled(item, gold) for gold in item.answers) if gold]
    return Verdict(float(any(gold in said for gold in golds)), said) if said else UNPARSED


def _spelled(item: Item, text: str) -> str:
    flat = text.strip().replace("\n", " ")
    return flat.replace(" ", "") if item.facts.get("dataset") == FORMULAS else flat.lower()


def _folded(item: Item, text: str) -> str:
    spelled = _spelled(item, text)
    return spelled if item.facts.get("dataset") == FORMULAS else spelled.translate(_FULL_WIDTH)


_OPTION = re.compile(r"\(([a-e])\)\s*(.*?)\s*(?=\([a-e]\)|\n|$)")
_SMALL = re.compile(r"(?<![\w'])([a-e])(?=[)}]|\.(?:\s|$)|\s*$)", re.MULTILINE)
_LETTERS_ALONE = re.compile(r"\W*[a-e](?:\W+(?:and\W+)?[a-e])*\W*", re.IGNORECASE)
_LETTER = re.compile(r"\b[a-e]\b", re.IGNORECASE)
_ANNOUNCES = finder("announces", "announces_several", after=r"[\s:]*")
_REFUSES = finder("refuses")
_TRUTHS = {"yes": "True", "no": "False"}


def score_visonlyqa(item: Item, answer: str) -> Verdict:
    """Right where all the letters of the gold answer are said and no other; several are an answer only if asked for."""
    if item.answers[0] in ("True", "False"):
        said = _TRUTHS.get(yes_no.read_strict(item, answer) or "")
    elif item.facts.get("question_type") == "multiple_answers":
        said = _letters(item, answer)
    else:
        said = _letter(item, answer)
    return Verdict(float(said == item.answers[0]), said) if said else UNPARSED


def _letter(item: Item, answer: str) -> str | None:
    """The option by its small letter, which is read as a capital, or by its text in the question."""
    options = [text for _, text in _OPTION.findall(item.question)] or list("abcde")
    said = multiple_choice.read_strict(replace(item, options=tuple(options)), _capitals(answer))
    return said.lower() if said else None


def _letters(item: Item, answer: str) -> str | None:
    """Letters that stand alone in the whole answer or behind the last announcement, else those called right there, else
    those named there that are not ruled out."""
    text = plain(after_reasoning(answer))
    text = turns(boxed(text) or text)[0]
    *_, last = _ANNOUNCES.split(text)
    if _REFUSES.search(last):
        return None
    if alone := next((part for part in (text, last) if _LETTERS_ALONE.fullmatch(part)), ""):
        return _joined(_LETTER.findall(alone))
    named = mentions(replace(item, options=tuple("abcde")), _capitals(last))
    called_right = [mention.letter for mention in named if mention.right]
    return _joined(called_right or [mention.letter for mention in named if mention.right is None])


def _joined(letters: list[str]) -> str | None:
    return ",".join(sorted({letter.lower() for letter in letters})) or None


def _capitals(text: str) -> str:
    return _SMALL.sub(lambda letter: letter[1].upper(), text)


def score_anls_strict(item: Item, answer: str) -> Verdict:
    """The greatest similarity to a gold answer: 1 - distance / longer length, 0 below one half."""
    golds = [_collapsed(gold) for gold in item.answers]
    return judge_short(item, answer, lambda said: max(_cut(_similarity(_collapsed(said), gold)) for gold in golds))


def score_anls(item: Item, answer: str) -> Verdict:
    """lmms-eval and VLMEvalKit: edits of the collapsed texts over the length of the uncollapsed ones.

    Blanks around an answer raise its score.
    """
    said = _collapsed(answer)
    return Verdict(
        max(_cut(_similarity(said, _collapsed(gold), max(len(gold), len(answer)))) for gold in item.answers), said
    )


def _similarity(said: str, gold: str, longer: int | None = None) -> float:
    length = max(len(said), len(gold)) if longer is None else longer
    return 1.0 if length == 0 else 1.0 - edit_distance(said, gold) / length


def _cut(similarity: float) -> float:
    return similarity if similarity >= 0.5 else 0.0


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())


def edit_distance(first: str, second: str) -> int:
    """The least number of edits of one character; 0 for equal texts.

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(second) + 1))
    for line, letter in enumerate(first, start=1):
        diagonal, row[0] = row[0], line
        for column, other in enumerate(second, start=1):
            replaced = diagonal + (letter != other)
            diagonal = row[column]
            row[column] = min(replaced, diagonal + 1, row[column - 1] + 1)
    return row[-1]
