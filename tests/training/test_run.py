"""What ends a run before it trains: complaints about the input in one line, faults of our own with their traceback."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sightline
from sightline.errors import InputError, MachineError
from sightline.models.folders import reading
from sightline.training.run import quiet_input_errors

SETTINGS: Any = SimpleNamespace(model=SimpleNamespace(model_name_or_path="nano"), script=SimpleNamespace(preset=None))


def fail_in(file: str) -> None:
    exec(compile("raise ValueError('odd')", file, "exec"), {})


def test_what_a_library_says_of_settings_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nano: odd"), quiet_input_errors(SETTINGS):
        fail_in("/site-packages/trl/trainer.py")


def test_a_value_that_a_library_looks_up_in_vain_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nano: transformers does not know 'gelu_odd'"), quiet_input_errors(SETTINGS):
        exec(compile("raise KeyError('gelu_odd')", "/site-packages/transformers/activations.py", "exec"), {})


def test_a_fault_of_our_own_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="odd"), quiet_input_errors(SETTINGS):
        fail_in(str(Path(sightline.__file__).resolve().parent / "training" / "dpo.py"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
            "/tmp/x: No space left on device. Free space",
        ),
        (OSError(errno.EIO, "Input/output error"), "Input/output error. The disk or its connection fails"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "found in .*by TMPDIR"),
    ],
)
def test_a_disk_that_fails_in_a_library_is_the_machines(error: OSError, said: str) -> None:
    with pytest.raises(MachineError, match=said), quiet_input_errors(SETTINGS):
        exec(compile("raise error", "/lib/python3/tempfile.py", "exec"), {"error": error})
    with pytest.raises(MachineError, match=said), reading("nano", "The model"):
        raise error
