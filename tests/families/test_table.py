"""docs/families.md says what the table of families and the measurements say."""

from __future__ import annotations

import pytest

from tests.families_table import TARGET, render_families, without_figures


@pytest.mark.slow
def test_the_table_is_current() -> None:
    assert without_figures(TARGET.read_text(encoding="utf-8")) == render_families(measure=False), "run `make docs`"
