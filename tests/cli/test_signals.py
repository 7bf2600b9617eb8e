"""Signals end a command in order, where the system has them."""

from __future__ import annotations

import signal

import pytest

from sightline.cli.signals import end_on_signals
from sightline.errors import Stopped


def test_a_system_without_sighup_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.delattr(signal, "SIGHUP")
    try:
        end_on_signals()
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
