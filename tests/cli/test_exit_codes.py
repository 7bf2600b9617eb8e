"""A command ends by the table of docs/exit_codes.md: what was lost is said, and our faults ask for a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sightline.cli import main, verbs
from sightline.errors import MachineError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("| head -1 >/dev/null", 0, ""),
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        (">/dev/full", 1, "error: standard output: No space left on device. What was printed is not whole"),
    ],
)
def test_a_command_whose_output_cannot_be_written(redirection, code, said):
    line = f'set -o pipefail; "{sys.executable}" -m sightline.cli.main tasks {redirection}'
    done = subprocess.run(
        ["bash", "-c", line], env=os.environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    assert done.stderr.startswith(said) and done.stderr.count("\n") == bool(said)


def test_findings_that_a_full_disk_lost_are_said_to_be_lost(tmp_path, monkeypatch, capsys):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "none.png", "question": "q", "answer": "a"}) + "\n")
    command = ["data", "check", str(tmp_path / "rows.jsonl")]
    assert main.run(command) == 1 and "error:" not in capsys.readouterr().err

    def lost():
        raise MachineError("standard output: No space left on device.")

    monkeypatch.setattr(verbs, "require_output", lost)
    assert main.run(command) == 1
    assert "error: standard output: No space left on device." in capsys.readouterr().err


def test_our_own_fault_leaves_a_traceback_and_asks_for_a_report(monkeypatch, capsys):
    for name in ("keep_streams_open", "make_output_safe", "end_on_signals"):
        monkeypatch.setattr(main, name, lambda: None)

    def faulty():
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(main, "run", faulty)
    with pytest.raises(SystemExit) as stop:
        main.main()
    said = capsys.readouterr().err
    assert stop.value.code == 1 and "Traceback" in said and "ZeroDivisionError: ours" in said
    assert said.endswith(f"{main.OWN_FAULT}\n") and "sightline doctor" in said
