"""docs/formats.md shows the table of formats as it is."""

from __future__ import annotations

from tests.formats_table import TARGET, render_formats


def test_the_document_shows_the_registry():
    assert TARGET.read_text(encoding="utf-8") == render_formats(), "run `make docs`"
