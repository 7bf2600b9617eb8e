"""The fenced blocks of README and documentation: their commands, and what they need to run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.project_tree import ROOT

COMMANDS = ("bash", "console")
LANGUAGES = (*COMMANDS, "python", "json", "yaml", "text", "bibtex")
GENERATED_LISTS = ("docs/cli.md", "docs/tasks.md")  # usages and prompts, no commands
_FENCE = re.compile(r"(?:<!-- needs: (?P<needs>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        needs: what it needs from outside, by the comment above it; empty where a test runs it.
    """

    page: str
    line: int
    language: str
    text: str
    needs: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command; in a console those lines alone that somebody typed."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [
            words
            for line in lines
            if (words := shlex.split(line.replace("$(which sightline)", "sightline"), comments=True))
        ]


def pages() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [*found, *sorted((ROOT / "recipes").rglob("*.md"))]


def blocks() -> list[Block]:
    """Every block of every page, in order."""
    found = []
    for path in pages():
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        found += [
            Block(page, text[: match.start("text")].count("\n"), match["language"], match["text"], match["needs"] or "")
            for match in _FENCE.finditer(text)
            if page not in GENERATED_LISTS
        ]
    return found


def recipe_commands() -> list[Block]:
    """The commands in the headers of recipes, as blocks of the recipes."""
    found = []
    for path in sorted((ROOT / "recipes").rglob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#   sightline "))
        if text:
            found.append(Block(str(path.relative_to(ROOT)), 1, "bash", text, "the recipe's data"))
    return found
