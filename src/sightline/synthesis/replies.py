"""Read the prompts of synthesis, one YAML file per kind, and the replies to them, strictly."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError
from sightline.notation import NotationError, read_json, read_yaml
from sightline.scoring.final_answer import without_thought

Pair = tuple[str, str]

_FENCE = re.compile(r"\A```(?:json|jsonl)?\s*\n(.*)\n```\Z", re.DOTALL)
# A reply that speaks of what it was shown instead of a picture would teach a model to do the same.
_TOLD = re.compile(
    r"\b(?:the|these|those|given|provided) captions?\b|\bbounding box|\bcoordinates?\b|\[\s*[01]?\.\d+\s*,",
    re.IGNORECASE,
)


class ReplyError(ValueError):
    """A reply that is not what was asked for; the message says what was expected and what came."""


def read_pairs(reply: str, fewest: int = 1, most: int | None = None) -> tuple[Pair, ...]:
    """Questions with their answers from lines of JSON, each with these two keys.

    Raises:
        ReplyError: anything else, or fewer or more of them.
    """
    pairs = tuple(_pair(line) for line in _unfenced(reply).split("\n") if line.strip())
    if len(pairs) < fewest or (most is not None and len(pairs) > most):
        wanted = str(fewest) if fewest == most else f"at least {fewest}"
        raise ReplyError(f"expected {wanted} questions with answers, got {len(pairs)}")
    return pairs


def read_description(reply: str) -> str:
    """The text of `{"description": ...}`. Raises ReplyError for anything else."""
    return _texts(_unfenced(reply), ("description",))[0]


def read_score(reply: str) -> tuple[float, str]:
    """A judge's score from 1 to 10 and its reason. Raises ReplyError for anything else."""
    record = _object(_unfenced(reply), ("score", "reason"))
    score = record["score"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 1 <= score <= 10:
        raise ReplyError(f"expected a score from 1 to 10, got {score!r}")
    return float(score), str(record["reason"])


def _pair(line: str) -> Pair:
    question, answer = _texts(line, ("question", "answer"))
    return question, answer


def _texts(text: str, keys: tuple[str, ...]) -> list[str]:
    """The texts under the keys of a JSON object, none empty, none about captions or boxes."""
    record = _object(text, keys)
    texts = []
    for key in keys:
        value = record[key]
        if not isinstance(value, str) or not value.strip():
            raise ReplyError(f"expected a text as {key}, got {value!r}")
        told = _TOLD.search(value)
        if told:
            raise ReplyError(f"expected words about a picture that is seen, got {told.group()!r} in {key}")
        texts.append(value.strip())
    return texts


def _object(text: str, keys: tuple[str, ...]) -> dict[str, Any]:
    wanted = f"expected a JSON object with {' and '.join(keys)}"
    try:
        record = read_json(text)
    except NotationError as error:
        raise ReplyError(f"{wanted}, got {text.strip()[:80]!r} ({error})") from error
    if not isinstance(record, dict) or set(record) != set(keys):
        raise ReplyError(f"{wanted}, got {text.strip()[:80]!r}")
    return record


def _unfenced(reply: str) -> str:
    """The reply without thought before it and the code fence that models put around JSON."""
    said = without_thought(reply)
    found = _FENCE.match(said)
    return found.group(1) if found else said


SHIPPED = Path(__file__).parent / "prompts"
_KEYS = {"system", "examples", "questions"}


@dataclass(frozen=True)
class PromptFile:
    """What a model is told before it is shown a row.

    Attributes:
        path: the file it was read from.
        examples: what is shown and the reply to it, in turn.
        questions: what a description answers; one is drawn for each picture.
    """

    path: Path
    system: str
    examples: tuple[tuple[str, str], ...] = ()
    questions: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """A key of the content (BLAKE2b, 64 bits, hexadecimal), for records."""
        content = repr((self.system, self.examples, self.questions))
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    @property
    def opening(self) -> list[dict[str, Any]]:
        """The messages that stand before every row."""
        turns = [
            {"role": role, "content": text}
            for example in self.examples
            for role, text in zip(("user", "assistant"), example, strict=True)
        ]
        return [{"role": "system", "content": self.system}, *turns]


def read_prompt(name: str, folder: Path | None) -> PromptFile:
    """The prompt NAME.yaml of a folder, or the one that ships with Sightline.

    Raises:
        ConfigError: it is missing, or holds something else than a prompt.
    """
    path = (folder or SHIPPED) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"--prompts: expected the file {path}, found none. Copy {SHIPPED / path.name} and change it.")
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    except NotationError as error:
        raise ConfigError(f"{path} is no YAML: {error.placed}. {SHIPPED / path.name} shows the form.") from error
    if not isinstance(content, dict) or not isinstance(content.get("system"), str) or set(content) - _KEYS:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(
            f"{path}: expected `system`, a text, and if you like `examples` and `questions`; found {found}. "
            f"{SHIPPED / path.name} shows the form."
        )
    examples = tuple(_example(example, path) for example in content.get("examples") or [])
    questions = tuple(str(question).strip() for question in content.get("questions") or [])
    return PromptFile(path, content["system"].strip(), examples, questions)


def _example(value: Any, path: Path) -> tuple[str, str]:
    if not isinstance(value, dict) or value.keys() != {"shown", "reply"}:
        raise ConfigError(f"{path}: expected each example to have `shown` and `reply`, got {str(value)[:80]}. Mend it.")
    return str(value["shown"]).strip(), str(value["reply"]).strip()
