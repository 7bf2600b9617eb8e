"""docs/cli.md says what the commands say."""

from __future__ import annotations

from tests.cli_reference import TARGET, render_reference


def test_the_reference_is_current():
    assert TARGET.read_text(encoding="utf-8") == render_reference(), "run `make docs`"
