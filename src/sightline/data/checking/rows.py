"""Read a row's questions, answers and roles, whatever its columns; check its words and language, and key it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sightline.data.checking.findings import ERROR, KINDS, Example, Findings
from sightline.data.encoding.rendering import require_row_words
from sightline.data.formats.spoken import SAID_FIELDS
from sightline.data.marks import MARK, marked_pictures
from sightline.data.pictures.images import rejected_images, row_images
from sightline.data.sources.answers import column_answers
from sightline.data.sources.datasets import RowNames, row_name
from sightline.errors import DataError

SHORT_ANSWER = 60  # letters; longer ones hardly repeat, and would fill the memory
SHOWN_LETTERS = 80


@dataclass(frozen=True, slots=True)
class RowKeys:
    """Keys of a row's words.

    Attributes:
        turns: of each question without its spelling (None where the row has none), and of its answer.
        rejected: of each rejected answer.
        words: of all words as they are.
    """

    turns: tuple[tuple[bytes | None, bytes], ...]
    rejected: tuple[bytes, ...]
    words: bytes


class RowCheck:
    """Findings in the words of rows, one row at a time.

    Attributes:
        keys: of each row seen.
        spoilt: rows in which something was found that keeps them from training.
        scripts: rows by script.
        languages: rows by language.
        answers: short answers by how often they are given.
        extra_words: of each pair of chosen and rejected answers, how many words longer the chosen one is.
        pair_rows: the row of each pair.
    """

    def __init__(self, name: str | RowNames, findings: Findings) -> None:
        self._name, self._findings = name, findings
        self.keys: list[RowKeys] = []
        self.spoilt: set[int] = set()
        self.scripts: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.answers_given = 0
        self.extra_words: list[int] = []
        self.pair_rows: list[int] = []

    def visit(self, index: int, row: dict[str, Any], text: RowText) -> None:
        """Note a row; each kind of finding counts once in it."""
        for kind, detail in self._problems(row, text):
            self._findings.add(kind, Example(row_name(self._name, index), detail))
            if KINDS[kind].severity == ERROR:
                self.spoilt.add(index)
        turns = tuple((None if asked is None else key(plain_words(asked)), key(said)) for asked, said in text.turns)
        words = "\x00".join(f"{asked}\x01{said}" for asked, said in text.turns)
        self.keys.append(RowKeys(turns, tuple(map(key, text.rejected)), key("\x02".join((words, *text.rejected)))))
        both = "\n".join(f"{asked or ''}\n{said}" for asked, said in text.turns)
        self.scripts[script_of(both)] += 1
        self.languages[language_of(MARK.sub("", both))] += 1
        self.answers_given += len(text.turns)
        for _, said in text.turns:
            if len(said) <= SHORT_ANSWER:
                self.answers[" ".join(said.casefold().split())] += 1
        chosen = len(text.turns[-1][1].split())
        self.extra_words += [chosen - len(other.split()) for other in text.rejected]
        self.pair_rows += [index] * len(text.rejected)

    def _problems(self, row: dict[str, Any], text: RowText) -> list[tuple[str, str]]:
        """Kinds of findings of one row, each with its detail."""
        found = []
        images, others = len(row_images(row)), len(rejected_images(row))
        if text.marks and text.marks != images:
            found.append(("placeholders", f"{_count(text.marks, 'placeholder')}, {_count(images, 'picture')}"))
        if others not in (0, images):
            found.append(("rejected_pictures", f"{images} images, {others} rejected_images"))
        if not all(said.strip() for _, said in text.turns) or not all(other.strip() for other in text.rejected):
            found.append(("empty_answer", _last_question(text)))
        elif text.turns[-1][1] in text.rejected and not others:
            found.append(("same_answers", shorten(text.turns[-1][1])))
        if any(asked is not None and not MARK.sub("", asked).strip() for asked, _ in text.turns):
            found.append(("empty_question", shorten(text.turns[0][1])))
        if images and not text.marks and isinstance(row.get("prompt"), str) and row.keys() & {"completion", "chosen"}:
            found.append(("unmarked", shorten(row["prompt"])))
        if text.disorder:
            found.append(("roles", text.disorder))
        if not any(KINDS[kind].severity == ERROR for kind, _ in found):
            found += _refusal(row)
        return found


def _refusal(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Why training refuses the words of a row of TRL's columns in which nothing else is wrong."""
    try:
        require_row_words(row, {"chosen", "rejected"} <= row.keys(), "text", "")
    except DataError as error:
        return [("refused", str(error).removeprefix(": "))]
    return []


def key(text: str) -> bytes:
    """A key of a text: 128 bits of its BLAKE2b."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def shorten(text: str) -> str:
    """The start of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_LETTERS else line[: SHOWN_LETTERS - 3].rstrip() + "..."


def _last_question(text: RowText) -> str:
    asked = text.turns[-1][0]
    return f"to '{shorten(asked)}'" if asked else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


SHORT = "too short to tell"
LETTERS, DENSE_LETTERS = 20, 8  # that a guess needs; the second of scripts with a letter for each word or syllable
READ_LETTERS = 1000  # of a text
_DENSE_FROM = "\u3040"  # kana, Hangul and Han follow


@lru_cache(maxsize=4096)
def language_of(text: str) -> str:
    """The ISO 639 code of a text's language; `SHORT` where there are too few letters for a guess.

    Of 8,854 English questions and captions of at least 20 letters 98% are called English (96% of easy-VQA's, which
    have few words), of 542 lines of old German books 94% German.
    """
    letters = [letter for letter in text[:READ_LETTERS] if letter.isalpha()]
    dense = sum(letter >= _DENSE_FROM for letter in letters)
    if len(letters) < (DENSE_LETTERS if 2 * dense > len(letters) else LETTERS):
        return SHORT
    return str(_identifier().classify(text[:READ_LETTERS])[0])


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


SCRIPTS = {
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f",
    "Armenian": "\u0530-\u058f",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff",
    "Ethiopic": "\u1200-\u137f",
    "Khmer": "\u1780-\u17ff",
    "Japanese kana": "\u3040-\u30ff",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
}
OTHER, NONE = "another script", "no letters"
_PATTERNS = {name: re.compile(f"[{ranges}]") for name, ranges in SCRIPTS.items()}
_LATIN_ASCII = re.compile("[A-Za-z]")


def script_of(text: str) -> str:
    """The script of most letters of a text; a text with kana counts as Japanese, whatever Han it holds."""
    if text.isascii():
        return "Latin" if _LATIN_ASCII.search(text) else NONE
    counts = {name: len(pattern.findall(text)) for name, pattern in _PATTERNS.items()}
    if counts["Japanese kana"]:
        counts["Japanese kana"] += counts["Han"]
    best = max(counts, key=lambda name: counts[name])
    if counts[best]:
        return best
    return OTHER if any(letter.isalpha() for letter in text) else NONE


HEARD = ("system", "user")  # whose words may mark pictures
ROLES = ("system", "user", "assistant", "tool")
LLAVA_ROLES = {"human": "user", "gpt": "assistant"}
TEXT_COLUMNS = (
    "messages", "conversations", "prompt", "completion", "chosen", "rejected", "question", "answer", "answers",
    "caption", "captions", "text",
)  # fmt: skip
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class RowText:
    """The words of a row.

    Attributes:
        turns: each question with its answer; the question is None where the row's columns hold none.
        rejected: the answers that the answer of the last turn is preferred to.
        marks: placeholders: parts of type image, or where there are none, `<image>` in the text.
        disorder: what is wrong with the roles, or empty.
    """

    turns: tuple[tuple[str | None, str], ...]
    rejected: tuple[str, ...] = ()
    marks: int = 0
    disorder: str = ""


def read_texts(row: dict[str, Any]) -> RowText:
    """The words of a row in TRL's columns or LLaVA's, or of questions, answers and captions as benchmarks have them."""
    if row.get("messages") is not None:
        return _conversation(_messages(row["messages"], "user"))
    if row.get("conversations") is not None:
        return _conversation([_said_by(turn) for turn in _messages(row["conversations"], "user")])
    asked = row.get("prompt") if row.get("prompt") is not None else row.get("question")
    if row.get("chosen") is not None or row.get("rejected") is not None:
        return _preference(asked, row.get("chosen"), row.get("rejected"))
    if row.get("completion") is not None:
        return _conversation([*_messages(asked, "user"), *_messages(row["completion"], "assistant")])
    answers = _answers(row)
    marks = marked_pictures(_text(asked)) if asked is not None else 0
    question = _text(asked) if asked is not None else "" if "question" in row or "prompt" in row else None
    return RowText(tuple((question, answer) for answer in answers), (), marks)


def _answers(row: dict[str, Any]) -> tuple[str, ...]:
    """The answers of a row as training reads them; at least one, which may be empty."""
    for column in ("answer", "answers", "caption", "captions"):
        if row.get(column) in (None, "", []):
            continue
        try:
            return column_answers(row, column, column) or ("",)
        except DataError:  # training says what is wrong with it
            return (_text(row[column]) or str(row[column]),)
    return (_text(row.get("text")),)


def plain_words(text: str) -> str:
    """The words of a text in lower case, without marks and punctuation: what two spellings of a question share."""
    words = _WORDS.findall(MARK.sub(" ", text).casefold())
    return " ".join(words) if words else text.strip()


def _preference(asked: Any, chosen: Any, rejected: Any) -> RowText:
    if asked is None:
        own = RowText(((None, _said(chosen)),), (), marked_pictures(_said(chosen)))
    else:
        own = _conversation([*_messages(asked, "user"), *_messages(chosen, "assistant")])
    several = isinstance(rejected, list) and not any(isinstance(part, dict) for part in rejected)
    others = rejected if several else [rejected]
    return RowText(own.turns, tuple(_said(other) for other in others), own.marks, own.disorder)


def _said(answer: Any) -> str:
    """The text of one answer: a string, or the messages of an assistant."""
    return "\n".join(_text(message.get("content")) for message in _messages(answer, "assistant"))


def _messages(value: Any, role: str) -> list[dict[str, Any]]:
    """Messages as they are; a plain text as one message of the role."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [part if isinstance(part, dict) else {"role": role, "content": part} for part in value]
    return [] if value is None else [{"role": role, "content": value}]


def _said_by(turn: dict[str, Any]) -> dict[str, Any]:
    """A message of TRL's from a turn of LLaVA's."""
    role = turn.get("from") or turn.get("role")
    return {"role": LLAVA_ROLES.get(str(role), role), "content": turn.get("value") or turn.get("content")}


def _conversation(messages: Sequence[dict[str, Any]]) -> RowText:
    turns: list[tuple[str | None, str]] = []
    asked: list[str] = []
    parts = 0
    heard: list[str] = []
    for message in messages:
        text = _text(message.get("content"))
        parts += _image_parts(message.get("content"))
        heard += [text] if message.get("role") in HEARD or "<image>" in text else []
        if message.get("role") == "assistant":
            turns.append(("\n".join(asked), text if text.strip() else _said_otherwise(message)))
            asked = []
        elif message.get("role") in ("user", "tool"):
            asked.append(text)
    if not turns:
        turns.append(("\n".join(asked), ""))  # nobody answers
    marks = parts or marked_pictures("\n".join(heard))
    return RowText(tuple(turns), (), marks, _disorder([str(message.get("role")) for message in messages]))


def _text(content: Any) -> str:
    """The text of a message's content, of a cell, or of an annotator's record."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("text") if content.get("text") is not None else content.get("answer"))
    if isinstance(content, list):
        return "\n".join(part for part in map(_text, content) if part)
    return "" if content is None else str(content)


def _said_otherwise(message: dict[str, Any]) -> str:
    """What a message without words says by calling tools, or in its thoughts."""
    return "\n".join(str(message[field]) for field in SAID_FIELDS if message.get(field))


def _image_parts(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    return sum(1 for part in content if isinstance(part, dict) and part.get("type") == "image")


def _disorder(roles: Iterable[str]) -> str:
    """What is wrong with the order of roles: user and assistant take turns, after at most one system message."""
    order = list(roles)
    unknown = next((role for role in order if role not in ROLES), None)
    if unknown is not None:
        return f"the role '{unknown}'"
    talk = order[1:] if order[:1] == ["system"] else order
    if "system" in talk:
        return "system is not first"
    if "tool" in talk:
        return ""
    if talk and talk[0] != "user":
        return f"{talk[0]} speaks first"
    for before, after in zip(talk, talk[1:], strict=False):
        if before == after:
            return f"{after} speaks twice in a row"
    return "user has the last word" if talk and talk[-1] != "assistant" else ""
