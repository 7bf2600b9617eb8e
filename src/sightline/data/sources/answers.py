"""Read answers and options from a cell: text, number, boolean, list, record, or a list written as text."""

from __future__ import annotations

import ast
import io
import itertools
import json
import math
import re
import tokenize
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import ClassLabel

YES, NO = "yes", "no"
_RECORD_KEYS = ("answer", "text", "value", "caption", "raw")
_WHOLE = 2**53  # the largest float up to which every whole number is one
_ARRAY = re.compile(r"array\((\[.*\])(?:, dtype=[\w<>'|]+)?\)", re.DOTALL)  # as NumPy's repr has it
_TAGGED = re.compile(r"<answer>(?P<held>(?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{(?P<held>(?:[^{}]|\{[^{}]*\})*)\}")
_QUOTES_MEET = re.compile(r"""['"]\s*['"]""")


def plain_text(value: Any) -> str:
    """A value as people write it: "3" for 3.0, yes and no for booleans, nothing for None and NaN.

    pandas makes 3.0 of 3 where a column has a gap.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE:
        return str(int(value))
    return str(value)


def marked_answer(text: str) -> str:
    """What the last answer tags of a solution hold, or its last LaTeX box, as solutions for models that reason have
    them; a text without these as it is.

    >>> marked_answer("<think>It is round.</think><answer> 3 </answer>"), marked_answer("$x = \\boxed{5}$")
    ('3', '5')
    """
    marks = list(_TAGGED.finditer(text)) or list(_BOXED.finditer(text))
    return marks[-1]["held"].strip() if marks else text


def answer_texts(value: Any, name: str) -> tuple[str, ...]:
    """Every answer of a cell, in order, equal ones kept; empty where it holds none.

    A record gives its `answer`, `text`, `value`, `caption`, or `raw` as COCO's sentences have it, which may be a list,
    as SQuAD's are.

    Args:
        name: what messages call the cell ("train.jsonl row 12: answers").

    Raises:
        DataError: a record without these, or lists within lists.
    """
    parts = value if isinstance(value, list | tuple) else [value]
    found: list[str] = []
    for part in parts:
        if isinstance(part, dict):
            inner = _of_record(part, name)
            found += answer_texts(inner, name) if isinstance(inner, list | tuple) else [plain_text(inner)]
        elif isinstance(part, list | tuple):
            raise DataError(f"{name}: expected answers, got a list in a list: {part!r:.60}. Write one flat list.")
        elif isinstance(part, bytes):
            raise DataError(f"{name}: expected answers, got {len(part)} bytes. Write them as text.")
        else:
            found.append(plain_text(part))
    return tuple(text for text in found if text.strip())


def column_answers(row: Mapping[str, Any], column: str, name: str) -> tuple[str, ...]:
    """Every answer of a row's column, a list that is written as text included; empty where it holds none.

    A list of numbers written as text is one answer where the column's name is that of one: boxes and points are.

    Raises:
        DataError: as `answer_texts`.
    """
    value = row[column]
    written = written_list(value)
    if isinstance(written, list) and (column.endswith("s") or not all(map(_is_number, written))):
        value = written
    return answer_texts(value, f"{name}: {column}")


def class_columns(features: Mapping[str, Any] | None) -> dict[str, ClassLabel]:
    """The columns whose numbers stand for classes, one or a list of them in a cell, with the classes."""
    from datasets import ClassLabel

    inner = {name: getattr(feature, "feature", feature) for name, feature in (features or {}).items()}
    return {name: feature for name, feature in inner.items() if isinstance(feature, ClassLabel)}


def class_names(classes: ClassLabel, value: Any) -> Any:
    """The name of a class, or of each in a list; None for -1, which `datasets` writes where the class is not known."""
    if isinstance(value, list):
        return [class_names(classes, part) for part in value]
    if not isinstance(value, int):
        return value
    return None if value < 0 else classes.int2str(value)


def written_list(value: Any) -> Any:
    """The list or object that a text holds, written in JSON, by Python, or by NumPy without commas; else the value.

    A CSV or TSV file has no other way to hold one. A text of which nothing of that can be read stays as it is.

    >>> written_list("['cat' 'dog']"), written_list("[1, 2)")
    (['cat', 'dog'], '[1, 2)')
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if (array := _ARRAY.fullmatch(text)) is not None:
        text = array.group(1)
    if not (text.startswith("[") and text.endswith("]")) and not (text.startswith("{") and text.endswith("}")):
        return value
    for read in (json.loads, _read_python):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
        if isinstance(found, list | dict):
            return found
    return value


def _read_python(text: str) -> Any:
    """What Python reads, but for texts without commas between them, which Python joins into one and NumPy writes so."""
    if _QUOTES_MEET.search(text):
        tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.string.strip()]
        texts = [token.string for token in tokens if token.type == tokenize.STRING]
        is_numpy = len(texts) == len(tokens) - 2
        meets = any(one.type == two.type == tokenize.STRING for one, two in itertools.pairwise(tokens))
        if meets:
            return [ast.literal_eval(one) for one in texts] if is_numpy else text
    return ast.literal_eval(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_record(record: dict[str, Any], name: str) -> Any:
    key = next((key for key in _RECORD_KEYS if record.get(key) is not None), None)
    if key is None and not any(key in record for key in _RECORD_KEYS):
        raise DataError(
            f"{name}: expected a record with {', '.join(_RECORD_KEYS[:-1])} or {_RECORD_KEYS[-1]}, got one with "
            f"{', '.join(map(str, record)) or 'nothing'}. Rename its key, or write the answer as text."
        )
    return record[key] if key is not None else None


# All options in one column, or each in its own, by the names that datasets give them.
_ALL = re.compile(
    r"(?:options?|choices?|candidates?|alternatives|distractors"
    r"|(?:mc|answer|multiple|possible|candidate)_?(?:options?|choices?|answers?|candidates?))(?:_?list)?"
)
_ONE = re.compile(r"(?:(?:options?|choices?|opt|candidate|answer)_?)?[a-j]|(?:option|choice|opt|candidate)_?\d")
# B, (b), B., 2), and A, C where several are right.
_LETTER_OR_PLACE = re.compile(r"\(?(?:[A-Za-z]|\d{1,2})[).:]?|[A-Z](?:(?:, ?|,? and | )?[A-Z])+")
_ANSWERS = ("answer", "answers")


def options_meant(cells: Mapping[str, Any], answer: str) -> list[str]:
    """The columns whose options an answer picks one of by its letter or place; none where it is a text of its own.

    >>> options_meant({"candidates": ["cat", "dog"], "answer": "B"}, "B")
    ['candidates']
    >>> options_meant({"choices": ["2", "3"], "answer": 3}, "3")
    []
    """
    answer = marked_answer(answer)
    if not _LETTER_OR_PLACE.fullmatch(answer):
        return []
    names = {name: re.sub(r"[\s-]+", "_", name.strip().lower()) for name in cells if name not in _ANSWERS}
    whole = [name for name, spelt in names.items() if _ALL.fullmatch(spelt) and _picks(answer, _texts(cells[name]))]
    single = [name for name, spelt in names.items() if _ONE.fullmatch(spelt) and _texts(cells[name])]
    said = [text for name in single for text in _texts(cells[name])]
    return whole or (single if len(single) > 1 and _picks(answer, said) else [])


def _picks(answer: str, options: list[str]) -> bool:
    """Whether an answer names options by their letters, or one by its place, and is none of them itself."""
    if not options or answer in options:
        return False
    marks = re.sub(r" and |[^A-Za-z0-9]", "", answer)
    if marks.isdigit():
        return int(marks) <= len(options)
    places = [ord(letter) - ord("A") for letter in marks.upper()]
    most = len(options) if len(places) > 1 else max(len(options), 10)  # one letter too far is a mistake to be told
    return places == sorted(set(places)) and places[-1] < most


def _texts(options: Any) -> list[str]:
    parts = written_list(options)
    parts = list(parts.values()) if isinstance(parts, dict) else parts if isinstance(parts, list | tuple) else [parts]
    return [text for part in parts if (text := plain_text(part).strip())]
