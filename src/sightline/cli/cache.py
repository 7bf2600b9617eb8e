"""`sightline cache`: list, verify and clear stored features, reference log-probabilities and images.

The folder is SIGHTLINE_CACHE, by default ~/.cache/sightline. Features and references keep to SIGHTLINE_CACHE_GIB (20):
the least recently used go first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import dumps
from typing import Any

import typer

from sightline.cli.settings_help import one_of
from sightline.errors import ConfigError

KINDS = ("features", "references", "pictures")


def list_command(json: bool = typer.Option(False, "--json", help="Print JSON on stdout.")) -> None:
    """Show each store; so does `sightline cache` alone."""
    with _told():
        _list(False, json)


def verify_command(json: bool = typer.Option(False, "--json", help="Print JSON on stdout.")) -> None:
    """Read every file, remove damaged ones, and exit with 1 if there were any.

    They are computed or fetched again when they are needed.
    """
    with _told():
        damaged = _list(True, json)
    if damaged:
        raise typer.Exit(1)


def clear_command(
    kind: str | None = typer.Option(
        None, "--kind", help="features, references or pictures only.", autocompletion=one_of(*KINDS)
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout."),
) -> None:
    """Remove all that is stored, or one kind of it."""

    if kind is not None and kind not in KINDS:
        raise ConfigError(f"--kind: expected one of {', '.join(KINDS)}; got '{kind}'.")
    with _told():
        _clear(kind, json)


@contextmanager
def _told() -> Iterator[None]:
    """Says what to do about a folder that may not be read or changed."""
    from sightline.errors import MachineError
    from sightline.runs import cache_folder

    try:
        yield
    except PermissionError as error:
        raise MachineError(
            f"{cache_folder()} is another user's, or may not be changed ({error}). Name another folder by "
            "SIGHTLINE_CACHE."
        ) from error


def _clear(kind: str | None, as_json: bool) -> None:

    from sightline.data.pictures.fetched import KIND, remove_fetched
    from sightline.engine.store import clear_stores
    from sightline.runs import cache_folder

    freed = (0 if kind == KIND else clear_stores(kind)) + (remove_fetched() if kind in (None, KIND) else 0)
    print(dumps({"freed_bytes": freed}) if as_json else f"{freed / 2**20:,.1f} MiB freed in {cache_folder()}")


def _list(verify: bool, as_json: bool) -> bool:
    """Prints what is stored; whether something of it was damaged, which `verify` finds and removes."""

    from sightline.data.pictures.fetched import list_fetched, remove_fetched
    from sightline.engine.store import limit_bytes, list_stores, remove_damaged
    from sightline.runs import cache_folder, plain_data

    stores, pictures = list_stores(verify=verify), list_fetched(verify=verify)
    if verify:
        for store in stores:
            remove_damaged(store)
        remove_fetched(pictures.damaged or ())
    if as_json:
        facts = {"folder": str(cache_folder()), "limit_bytes": limit_bytes(), "stores": plain_data(stores)}
        print(dumps({**facts, "pictures": plain_data(pictures)}, indent=2))
    else:
        for store in stores:
            print(_line(store, ", ".join(str(value) for value in store.about.values())))
        if pictures.entries:
            print(_line(pictures, "fetched from the web"))
        used = sum(store.bytes for store in stores) / 2**30
        print(f"Stores: {used:.2f} of {limit_bytes() / 2**30:.1f} GiB in {cache_folder()}", file=sys.stderr)
    return bool(pictures.damaged) or any(store.damaged for store in stores)


def _line(store: Any, about: str) -> str:
    """One store: what, how much, when it was last used, and damaged files where there are any."""
    from time import localtime, strftime

    used = strftime("%Y-%m-%d %H:%M", localtime(store.used))
    damaged = f", {len(store.damaged)} damaged files" if store.damaged else ""
    return f"{store.kind:10} {store.entries:9,} entries {store.bytes / 2**20:10,.1f} MiB  {used}  {about}{damaged}"
