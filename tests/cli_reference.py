"""docs/cli.md, written from the help texts of the commands; run as a module it rewrites the file."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from sightline.cli.main import run
from sightline.cli.verbs import VERBS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"

HEADER = """# The command line

Written by `make docs` from the commands' own help texts.

stdout carries data, stderr progress. Exit codes: 0, 1 (failed), 2 (bad usage or input), 128 + signal (interrupted):
[all of them](exit_codes.md).
"""


def help_text(*arguments: str) -> str:
    """What `sightline ARGUMENTS --help` prints, 80 columns wide."""
    before = {name: os.environ.get(name) for name in ("COLUMNS", "TERMINAL_WIDTH")}
    os.environ.update({"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            run([*arguments, "--help"])
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def render_reference() -> str:
    """The whole document."""
    parts = [HEADER, f"```text\n{help_text()}\n```\n"]
    for verb in VERBS:
        parts.append(_section(verb.name))
        parts += [_section(verb.name, inner.name) for inner in verb.verbs]
    return "\n".join(parts)


def _section(*names: str) -> str:
    return f"## sightline {' '.join(names)}\n\n```text\n{help_text(*names)}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(render_reference(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
