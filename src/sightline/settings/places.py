"""Check that models, rows, files and folders in the settings exist, here or at the Hub, and outputs can be written."""

from __future__ import annotations

import functools
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from sightline.config import require_short
from sightline.errors import DataError, InputError, RunFolderError, near
from sightline.launch.processes import is_first, say

MODELS = frozenset("model model_name_or_path policy vit bert".split())
ROWS = frozenset("dataset_name eval_dataset_name data source train_data eval_data evals".split())
FILES = frozenset("image captions predictions".split())
RUNS = frozenset("run run_a run_b others resume_from_checkpoint".split())
WRITTEN = frozenset("output_dir output_path out".split())
_PLACES = MODELS | ROWS | FILES | RUNS | WRITTEN


def check_places(given: Mapping[str, Any], asks_server: bool = False) -> None:
    """Nothing where everything that is named is there, and what is to be written can be.

    Args:
        asks_server: whether the model is a name at a server.

    Raises:
        InputError: something is not there, or cannot be written; with the nearest name that is.
    """
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            text = str(one) if isinstance(one, str | Path) else ""
            if text and not text.startswith("--"):
                _check_place(name, text, asks_server)


def _check_place(name: str, text: str, asks_server: bool) -> None:
    if name in _PLACES and "://" not in text and not (name in MODELS and asks_server):
        require_short(text, name)
    if name in MODELS and not asks_server:
        require_model(text, name)
    elif name in ROWS:
        require_rows(text)
    elif name in FILES and not os.path.lexists(text) and ":" not in text:
        asks = name == "image" and (" " in text or text.endswith("?"))
        hint = "The picture stands before the question." if asks else near(text)
        raise InputError(f"{name} {text!r} not found. Paths count from {Path.cwd()}. {hint}".strip())
    elif name in RUNS and not os.path.lexists(text):
        raise RunFolderError(
            f"{name}: there is no folder {text}. Paths count from {Path.cwd()}. {near(text, folders=True)}".strip()
        )
    elif name in WRITTEN:
        require_writable(text, name)


def require_model(name: str, where: str) -> None:
    """Nothing for a folder that is there, and for a Hub id that is cached or may be asked for.

    Raises:
        InputError: there is no such folder.
    """
    path = Path(name)
    if path.is_dir():
        if not is_model_folder(name):
            found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
            raise InputError(
                f"{name} has no config.json. Expected a model folder as `save_pretrained` or `sightline build` writes "
                f"it; the folder holds {found}."
            )
        return
    if path.is_file():
        raise InputError(f"{where}: expected a model folder or a Hub id, got the file {name}. Name its folder.")
    if is_path(name):
        raise InputError(
            f"There is no model folder {name}. Name one that `save_pretrained` wrote, or a Hub id such as "
            f"`owner/name`. {near(name, folders=True)}".strip()
        )
    require_known_model(name, where, near(name, folders=True))


def require_rows(name: str) -> None:
    """Nothing for a file or folder that is there, and for what may be a Hub id.

    Raises:
        DataError: there is no such file or folder.
    """
    path = Path(name)
    if path.is_symlink() and not path.exists():
        raise DataError(f"{name} is a link to {path.readlink()}, which is not there. Mend it, or copy the file.")
    if not path.exists() and (is_path(name) or is_rows_file(name)):
        raise DataError(f"There is no file or folder {name}. Paths count from {Path.cwd()}. {near(name)}".strip())


def is_model_folder(name: str) -> bool:
    """Whether a folder of this name holds a model or an adapter."""
    return any(os.path.isfile(os.path.join(name, file)) for file in ("config.json", "adapter_config.json"))


def is_rows_file(name: str) -> bool:
    """Whether a file has this name, or one could that holds rows."""
    return os.path.isfile(name) or Path(name).suffix.lower() in _ROW_FILES


_ROW_FILES = frozenset(
    ".json .jsonl .ndjson .csv .tsv .parquet .arrow .tar .txt .xlsx .gz .bz2 .xz .zst .tgz .zip .yaml .yml".split()
)


def require_writable(name: str, where: str) -> None:
    """Nothing where a folder or file of this name can be written, by what is there now.

    Raises:
        RunFolderError: a file stands where a folder must, or a folder takes nothing new.
    """
    path = Path(name)
    above = next((folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder)), Path("/"))
    problem = ""
    if above != path and not above.is_dir():
        problem = f"{above} is no folder"
    elif not os.access(above, os.W_OK | (os.X_OK if above.is_dir() else 0)):
        problem = f"{above} may not be written"
    elif above != path and is_first():
        try:
            os.rmdir(tempfile.mkdtemp(prefix=".sightline-", dir=above))  # what rights alone do not tell: /proc
        except OSError as error:
            problem = f"{above}: {error.strerror}"
    if problem:
        raise RunFolderError(f"--{where} {name} cannot be written: {problem}. Name another path, or mend this one.")


def is_path(name: str) -> bool:
    """Whether a name can be no Hub id."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1 or os.path.isabs(name)


WAIT_S = 3.0  # for one attempt, of which there are two
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def require_known_model(name: str, where: str, hint: str) -> None:
    """Nothing for a Hub id that is cached or that the Hub may be asked for.

    Raises:
        InputError: it is not cached, and the Hub is not to be asked or does not answer; with `hint`, what to do.
    """
    if is_cached(name) or not unreachable():
        return
    advice = hint or "Name a folder, or go online once so that the model is cached."
    raise InputError(
        f"{where}: {name} could not be loaded: there is no such folder in {Path.cwd()}, no such model is cached, and "
        f"the Hub cannot be asked ({unreachable()}). {advice}"
    )


def is_cached(name: str, kind: str = "models") -> bool:
    """Whether a snapshot of a Hub id is on this machine."""
    return any(Path(_cache_folder(), f"{kind}--{name.replace('/', '--')}", "snapshots").glob("*/*"))


@functools.cache
def unreachable() -> str:
    """Why the Hub is not asked; empty where it may be.

    Where it does not answer, this process is set offline, so that nothing else tries for minutes (huggingface_hub 1.31
    asks six times for each file).
    """
    if any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE):
        return "HF_HUB_OFFLINE is set"
    host, port = _address()
    problem = _refused(host, port)
    if problem:
        say(f"The Hub, {host}, does not answer ({problem}). Trying once more, for {WAIT_S:.0f} s at most.")
        problem = _refused(host, port)
    if problem:
        say(f"The Hub, {host}, cannot be reached ({problem}): what is cached is used, and nothing else is tried.")
        _set_offline()
    return problem


def _refused(host: str, port: int) -> str:
    """Why no connection came about in time; empty where one did. Looking up a name has no limit of its own."""
    found: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=WAIT_S).close()
            found.append("")
        except OSError as error:
            found.append(error.strerror or str(error))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    return found[0] if found else f"no answer in {WAIT_S:.0f} s"


def _address() -> tuple[str, int]:
    """Host and port of the Hub, or of the proxy that stands before it."""
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    proxy = getproxies().get(hub.scheme) or getproxies().get("all")
    way = urlsplit(proxy) if proxy and hub.hostname not in ("127.0.0.1", "localhost") else hub
    return way.hostname or "huggingface.co", way.port or (443 if way.scheme == "https" else 80)


def _set_offline() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, name in (
        ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_DATASETS_OFFLINE"),
    ):
        if module in sys.modules:  # which read the variable when they were imported
            setattr(sys.modules[module], name, True)


def _cache_folder() -> str:
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return os.path.expanduser(os.path.expandvars(named or os.path.join(home, "hub")))
