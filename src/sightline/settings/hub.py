"""Check once, within seconds, whether the Hub can be reached; otherwise use what is cached."""

from __future__ import annotations

import functools
import os
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from sightline.errors import InputError
from sightline.launch.processes import say

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
