"""The changelog says each thing once, under the theme that it belongs to."""

from __future__ import annotations

from collections import Counter

from tests.project_tree import ROOT


def test_no_line_and_no_theme_stands_twice():
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    twice = [line for line, count in Counter(filter(str.strip, lines)).items() if count > 1]
    assert twice == [], "merges keep the lines of both sides: remove one of each"
