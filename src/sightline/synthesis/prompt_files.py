"""Read the prompts of synthesis, one YAML file per kind: system message, examples, questions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError
from sightline.notation import NotationError, read_yaml

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
