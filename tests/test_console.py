"""Where tables and bars go."""

from __future__ import annotations

import builtins
import io

import pytest

from sightline.console import console_on


def test_in_a_notebook_a_table_goes_where_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would import IPython, and show a block beside whatever captures the output."""
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr(builtins, "get_ipython", shell, raising=False)
    file = io.StringIO()
    console_on(file).print("rows 8")
    assert file.getvalue() == "rows 8\n"
