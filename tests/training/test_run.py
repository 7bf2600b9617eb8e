"""What ends a run before it trains: complaints about the input in one line, faults of our own with their traceback."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sightline
from sightline.errors import InputError
from sightline.training.run import quiet_input_errors

SETTINGS: Any = SimpleNamespace(model=SimpleNamespace(model_name_or_path="nano"), script=SimpleNamespace(preset=None))


def fail_in(file: str) -> None:
    exec(compile("raise ValueError('odd')", file, "exec"), {})


def test_what_a_library_says_of_settings_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nano: odd"), quiet_input_errors(SETTINGS):
        fail_in("/site-packages/trl/trainer.py")


def test_a_fault_of_our_own_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="odd"), quiet_input_errors(SETTINGS):
        fail_in(str(Path(sightline.__file__).resolve().parent / "training" / "dpo.py"))
