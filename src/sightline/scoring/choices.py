"""Read option letters as VLMEvalKit, lmms-eval and LLaVA do, each by its own rules.

Sources, described rule by rule: VLMEvalKit vlmeval/utils/matching_util.py at e8e78f0; lmms-eval 0.7.3
tasks/mmbench/mmbench_evals.py, tasks/ai2d/utils.py (with its exact match without case and punctuation) and
tasks/scienceqa/utils.py; LLaVA llava/eval/eval_science_qa.py at c121f04. VLMEvalKit and lmms-eval's MMBench go on to a
judge where these rules find nothing, VLMEvalKit at last to a random option; here the answer is unparsed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence

from sightline.scoring.final_answer import without_lmms_eval_tags
from sightline.scoring.records import UNPARSED, Item, Verdict, letters_of

REFUSED = "Z"
"""What VLMEvalKit says of a model that refuses: a letter that no question has."""

_CALL_FAILED = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_TO_BLANKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_ANSWER_IS = re.compile(r"(?:correct )?answer\s+is\s+\**([A-D])", re.IGNORECASE)
_LAST_TOKENS = 5
_LMMS_EVAL_AFFIXES = (
    *(("", suffix) for suffix in ("", ".", ",", ":", ")", ").")),
    *(("(", suffix) for suffix in (")", ").")),
    *((":", suffix) for suffix in ("", ",", ".", ")", ").")),
)


def read_vlmevalkit(item: Item, answer: str) -> str | None:
    """VLMEvalKit's letter, REFUSED, or None."""
    return can_infer(answer, _options(item))


def read_mmbench_lmms_eval(item: Item, answer: str) -> str | None:
    """The letter of lmms-eval's MMBench, or None; it knows letters to E and texts of options to D."""
    return lmms_eval_can_infer(answer, _options(item))


def score_vlmevalkit_open(item: Item, answer: str) -> Verdict:
    """VLMEvalKit on MMMU's open questions: options A, the gold answer, and B, "Other Answers"; right is A.

    A bare "A" is right there, whatever was asked.
    """
    parsed = can_infer(answer, {"A": item.answers[0], "B": "Other Answers"})
    return UNPARSED if parsed is None else Verdict(float(parsed == "A"), parsed)


def can_infer(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter that the answer names or, failing that, whose text it contains.

    >>> can_infer("The answer is B", {"A": "Paris", "B": "London"})
    'B'
    """
    return infer_letter(answer, options) or infer_text(answer, options)


def infer_letter(answer: str, options: Iterable[str]) -> str | None:
    """The only option letter among the answer's tokens, if one of the last five, else the one after "answer is"."""
    if _CALL_FAILED in answer:
        return None
    if any(refusal in answer for refusal in _REFUSALS):
        return REFUSED
    tokens = answer.translate(_TO_BLANKS).split()
    named = [letter for letter in options if letter in tokens]
    if len(named) == 1 and tokens.index(named[0]) > len(tokens) - _LAST_TOKENS:
        return named[0]
    if not named and REFUSED in tokens:
        return REFUSED
    said = _ANSWER_IS.search(answer)
    return said.group(1).upper() if said and said.group(1).upper() in options else None


def infer_text(answer: str, options: Mapping[str, str]) -> str | None:
    """The only option whose text the answer contains, unless the answer is twice as long as all options together."""
    if len(answer) > 2 * sum(map(len, options.values())):
        return None
    return _contained(answer, options)


def lmms_eval_can_infer(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter that stands alone among the words, bare or with the same marks around it, else the contained text."""
    if _CALL_FAILED in answer:
        return None
    words = answer.split()
    for before, after in _LMMS_EVAL_AFFIXES:
        named = [letter for letter in "ABCDE" if before + letter + after in words]
        if len(named) != 1:
            continue
        # "A" may be the article, so in longer answers the bare one is no letter; "A." and the like still are.
        if named == ["A"] and not before + after and len(words) > 3:
            continue
        return named[0]
    return _contained(answer, {letter: option for letter, option in options.items() if letter in "ABCD"})


def _contained(answer: str, options: Mapping[str, str]) -> str | None:
    text = answer.lower()
    contained: Sequence[str] = [letter for letter, option in options.items() if option.lower() in text]
    return contained[0] if len(contained) == 1 else None


def _options(item: Item) -> dict[str, str]:
    return dict(zip(letters_of(item), item.options, strict=True))


_OPENING = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_ai2d_lmms_eval(item: Item, answer: str) -> str | None:
    """The opening letter before a period, else the answer without thought and punctuation if that is one letter.

    lmms-eval looks for the opening letter before it takes thought away, so "<think>...</think>B. cat" is unparsed.
    Blanks are kept where there is no thought, so "B " is unparsed.
    """
    if opening := _OPENING.match(answer):
        return opening.group(1)
    said = without_lmms_eval_tags(answer)
    bare = (answer if said == answer.strip() else said).translate(_NO_PUNCTUATION).upper()
    return bare if len(bare) == 1 and bare.isalpha() else None


_LLAVA_LETTERS = "ABCDE"
# The last dot is any character, as in LLaVA's pattern: the letter needs something behind it.
_LLAVA_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def read_llava(item: Item, answer: str) -> str | None:
    """The answer if it is a letter of A to E, its first letter before ". ", else that of "The answer is X."."""
    if len(answer) == 1 and answer in _LLAVA_LETTERS:
        return answer
    if len(answer) >= 3 and answer[0] in _LLAVA_LETTERS and answer[1:3] == ". ":
        return answer[0]
    said = _LLAVA_ANSWER_IS.findall(answer)
    return said[0] if len(said) == 1 else None


def read_scienceqa_lmms_eval(item: Item, answer: str) -> str | None:
    """One letter of either case, or a capital before a period at the start."""
    text = answer.strip()
    if len(text) == 1 and text.isalpha():
        return text.upper()
    return text[0] if len(text) >= 2 and text[0].isupper() and text[1] == "." else None
