"""Every page is found from the index, and no link of a page leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import pages
from tests.project_tree import ROOT

DOCS = ROOT / "docs"
PAGES = [*pages(), ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.M | re.S)


def links(page: Path) -> list[str]:
    """Targets of the links of a page that lead to files; code is no part of it."""
    found: list[str] = _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in found if not target.startswith(("https://", "http://"))]


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page are linked, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links of a page whose file or heading does not exist."""
    dead = []
    for target in links(page):
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.exists() or (heading and heading not in anchors(file)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_of_a_page_leads_nowhere(page):
    assert dead_links(page) == []


def test_the_index_links_every_page_of_the_documentation_once():
    linked = [target for target in links(DOCS / "index.md") if "/" not in target]
    assert sorted(linked) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "index.md")


def test_the_readme_leads_to_the_index_in_few_links():
    found = links(ROOT / "README.md")
    assert "docs/index.md" in found and len(found) <= 30


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](page.md#one-two) [b](none.md) [c](#three) `[d](e)`\n")
    assert dead_links(page) == ["none.md", "#three"]
