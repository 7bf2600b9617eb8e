"""Write the maps of the code: docs/tree.md by file, ARCHITECTURE.md's list by folder, and its picture."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "sightline"
SHOWN = ("src/sightline", "recipes", "examples", "benchmarks")
TREE = ROOT / "docs" / "tree.md"
OVERVIEW = ROOT / "ARCHITECTURE.md"

BEGIN, END = "<!-- folders: written by `make docs` -->", "<!-- end of folders -->"
HEADER = """# The tree by file

Written by `make docs` from the first sentence of each file.
[ARCHITECTURE.md](../ARCHITECTURE.md) shows the folders and how they use each other.

"""

_FIRST_COMMENT = {
    ".yaml": r"\A#\s*(.+)",
    ".j2": r"\A\{#-?\s*(.+?)\s*-?#\}",
    ".html": r"\A(?:<!doctype html>\s*)?(?:<!--|\{#)\s*(.+?)\s*(?:-->|#\})",
    ".sh": r"\A#!.*\n#\s*(.+)",
    ".css": r"\A/\*\s*(.+?)\s*\*/",
    ".js": r"\A(?:/\*|//)\s*(.+?)\s*(?:\*/|\n)",
}


def source_files() -> list[Path]:
    """Python files of the package, sorted."""
    return sorted(SOURCE.rglob("*.py"))


def sentence(path: Path) -> str:
    """The first line of a file's docstring or first comment; empty when it has none."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    pattern = _FIRST_COMMENT.get(path.suffix)
    found = re.search(pattern, text, re.IGNORECASE) if pattern else None
    return found.group(1).strip() if found else ""


def render_tree() -> str:
    """docs/tree.md: one line per file, name then sentence, folders before their files."""
    lines = [line for top in SHOWN if (ROOT / top).is_dir() for line in (f"{top}/", *_lines(ROOT / top, 1))]
    return HEADER + "\n".join(["```text", *lines, "```", ""])


def render_folders() -> str:
    """The folders of the package as a Markdown code block: one line each, name then sentence."""
    lines = ["src/sightline/"]
    for path in sorted(SOURCE.rglob("__init__.py")):
        if inner := path.parent.relative_to(SOURCE).parts:
            lines.append(f"{'  ' * len(inner) + inner[-1] + '/':<18} {sentence(path)}")
    return "\n".join(["```text", *lines, "```"])


def replace_folders(document: str) -> str:
    """`document` with the list between its markers replaced by the present one."""
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n{render_folders()}\n{END}{rest.split(END)[1]}"


def _lines(folder: Path, depth: int) -> Iterator[str]:
    indent = "  " * depth
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "__pycache__"))]
    files = [entry for entry in entries if entry.is_file() and entry.name not in ("__init__.py", "py.typed")]
    for file in files:
        yield f"{indent + file.name:<26} {sentence(file)}".rstrip()
    for inner in (entry for entry in entries if entry.is_dir()):
        about = sentence(inner / "__init__.py") if (inner / "__init__.py").is_file() else ""
        yield f"{indent + inner.name + '/':<26} {about}".rstrip()
        yield from _lines(inner, depth + 1)


if __name__ == "__main__":
    from tests.layers_picture import PICTURE, draw_layers

    TREE.write_text(render_tree(), encoding="utf-8")
    OVERVIEW.write_text(replace_folders(OVERVIEW.read_text(encoding="utf-8")), encoding="utf-8")
    PICTURE.write_text(draw_layers(), encoding="utf-8")
    print(f"wrote {TREE.name}, the folders of {OVERVIEW.name} and {PICTURE.name}", file=sys.stderr)
