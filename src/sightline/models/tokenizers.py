"""Load a processor with a tokenizer that lies in a folder of its own, for checkpoints that carry none."""

from __future__ import annotations

import fnmatch
import tempfile
from pathlib import Path
from typing import Any

from sightline.errors import InputError, near
from sightline.models.pretrained import load_pretrained
from sightline.settings.places import is_path

TOKENIZER = (
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.tiktoken",
)  # fmt: skip
SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")


def load_with_tokenizer(name: str, revision: str | None, tokenizer: str) -> Any:
    """What AutoProcessor gives of a folder or Hub id, as if its tokenizer were that of the folder or Hub id given.

    Raises:
        InputError: there is no such tokenizer.
        OSError, ValueError: as transformers raises them.
    """
    from transformers import AutoProcessor

    files = _matching(_fetched(tokenizer, None, "tokenizer"), TOKENIZER)
    if not files:
        raise InputError(f"tokenizer: {tokenizer} holds no tokenizer (tokenizer.json, ...). Name its folder.")
    with tempfile.TemporaryDirectory(prefix="sightline-") as joined:
        here = _matching(_fetched(name, revision, "model"), SETTINGS)
        for file in (*(one for one in here if not _is_of(one, TOKENIZER)), *files):
            Path(joined, file.name).symlink_to(file.absolute())
        return load_pretrained(AutoProcessor, joined)


def _fetched(name: str, revision: str | None, what: str) -> Path:
    """A folder, or that in which a Hub id's settings are cached; weights are not fetched."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if is_path(name) or "/" not in name:
        raise InputError(f"{what}: there is no folder {name}. {near(name, folders=True)}".strip())
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(SETTINGS)))
    except Exception as error:  # of the network, the Hub, or a name that is none
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise InputError(f"{what}: {name} is no folder, and could not be fetched from the Hub: {reason}.") from error


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _is_of(path, patterns))


def _is_of(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
