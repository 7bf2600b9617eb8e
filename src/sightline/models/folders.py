"""A model's folder that transformers cannot read: one line that names the damaged file, in place of a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.errors import InputError, SightlineError
from sightline.models.pretrained import check_code, load_pretrained

SETTINGS = (
    "config.json", "generation_config.json", "processor_config.json", "preprocessor_config.json",
    "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "adapter_config.json",
    "model.safetensors.index.json",
)  # fmt: skip
SHOWN = 300


@contextmanager
def reading(folder: str, what: str, mend: str = "") -> Iterator[None]:
    """What is raised while a part of a model is read, as an InputError; `what` is that part ("The model").

    Transformers, tokenizers and safetensors check little of what they read: a value of another kind raises whatever
    the code that first uses it does. What the machine lacks (memory, a package) passes as it is.
    """
    try:
        yield
    except (SightlineError, MemoryError, ImportError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise InputError(
            f"{what} {folder} could not be loaded: {why_unreadable(folder, error)} {mend}".strip()
        ) from error


def require_readable(name: str, revision: str | None = None) -> None:
    """Nothing where the settings and the heads of the weights of a folder or Hub id can be read.

    Raises:
        InputError: one is cut, garbled, or holds a value of another kind.
    """
    import transformers
    from transformers import AutoConfig, GenerationConfig

    damaged = damaged_file(name)
    if damaged:
        raise InputError(f"The model {name} could not be loaded: {damaged} Copy the folder again.")
    with reading(name, "The configuration of"):
        check_code(name, revision)
        classes = load_pretrained(AutoConfig, name, {"revision": revision}).architectures or [None]
        if not isinstance(classes[0], str) or getattr(transformers, classes[0], None) is None:
            raise InputError(
                f"{name}: expected a class of transformers at architectures in config.json, got {classes[0]!r}. Write "
                "the name of the model's class there, or copy the folder again."
            )
    if Path(name, "generation_config.json").is_file():
        with reading(name, "The generation_config.json of"):
            load_pretrained(GenerationConfig, name)


def why_unreadable(folder: str, error: Exception) -> str:
    """What is wrong with a folder in a line: its damaged file, else what was raised."""
    damaged = damaged_file(folder)
    if damaged:
        return f"{damaged} Copy the folder again."
    said = " ".join(str(error).split())
    said = said if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {said}"
    said = f"{said[:SHOWN].rstrip('.')}{'...' if len(said) > SHOWN else '.'}"
    if Path(folder).is_dir() and not isinstance(error, OSError):
        said += " A setting of another kind than expected stands in one of its .json files."
    return said


def damaged_file(folder: str) -> str:
    """The first file of a folder that is cut or garbled, and how it shows; empty where none is, or for a Hub id."""
    for name in SETTINGS:
        path = Path(folder, name)
        if path.is_file() and (problem := _settings_problem(path)):
            return f"{name} {problem}."
    for path in sorted(Path(folder).glob("*.safetensors")):
        if problem := _weights_problem(path):
            return f"{path.name} {problem}."
    return ""


def require_settings(path: Path) -> dict[str, Any]:
    """The object in a file of settings.

    Raises:
        InputError: it is cut, garbled or no object.
    """
    problem = _settings_problem(path)
    if problem:
        raise InputError(f"{path.parent}: {path.name} {problem}. Copy the folder again.")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _settings_problem(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return f"is no whole JSON ({str(error)[:100]})"
    return "" if isinstance(found, dict) else f"is expected to hold an object of settings, but holds {str(found)[:40]}"


def _weights_problem(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt"):
            return ""
    except (OSError, SafetensorError) as error:
        return f"is no whole file of weights ({str(error)[:100]})"
