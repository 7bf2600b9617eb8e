"""Two processes that share a batch train as one process does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.preference_run import train


@pytest.mark.slow
@pytest.mark.parametrize(("reference_store", "augmentation"), [("on", "none"), ("off", "light")])
def test_two_processes_log_what_one_with_twice_the_rows_logs(
    reference_store: str, augmentation: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = ["-m", "tests.training.preference_run", str(tmp_path / "two"), "2", reference_store, augmentation]
    subprocess.run([*launcher, *script], cwd=root, check=True, timeout=240)
    two = json.loads((tmp_path / "two" / "logged.json").read_text())
    one = train(tmp_path / "one", 4, "off", augmentation)
    assert len(one) == len(two) == 4
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, abs=1e-5)
