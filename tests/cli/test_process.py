"""Names of files and texts under locales that know ASCII alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import run
from sightline.cli.process import end_on_signals, told_unencodable, use_utf8
from sightline.errors import Stopped


@pytest.fixture
def started(monkeypatch):
    """What the process is replaced by."""
    found: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: found.append([program, *arguments]))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-O", "-m", "sightline.cli.main", "tasks"])
    monkeypatch.setenv("PYTHONUTF8", "0")
    return found


@pytest.mark.parametrize(("encoding", "again"), [("ascii", True), ("ANSI_X3.4-1968", True), ("utf-8", False)])
def test_a_command_starts_again_in_utf8_mode_where_names_of_files_are_ascii(monkeypatch, started, encoding, again):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    use_utf8()
    command = [sys.executable, sys.executable, "-X", "utf8", "-O", "-m", "sightline.cli.main", "tasks"]
    assert started == ([command] if again else [])
    use_utf8()
    assert len(started) == again  # once, whatever the encoding is then


def test_a_name_of_other_bytes_is_one_line_and_another_fault_keeps_its_traceback(monkeypatch, capsys, tmp_path):
    for text, told in (("b\udcffd.jsonl", 2), ("\ud83d", None)):

        def unencodable(arguments: object, text: str = text) -> None:
            text.encode()

        monkeypatch.setattr("sightline.cli.main._answer", unencodable)
        if told is None:
            with pytest.raises(UnicodeEncodeError):
                run(["tasks"])
        else:
            assert run(["tasks"]) == told
            assert capsys.readouterr().err.count("\n") == 1
    error = UnicodeEncodeError("utf-8", "b\udcffd.jsonl", 1, 2, "surrogates not allowed")
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    assert "(de_DE.ISO-8859-1)" in told_unencodable(error) and "LC_ALL=C.UTF-8" in told_unencodable(error)


@pytest.mark.slow
def test_rows_and_pictures_of_any_name_are_read_under_the_locale_c(tmp_path: Path) -> None:
    rows = tmp_path / "é日本🙂.jsonl"
    rows.write_text('{"question": "Où ?", "answer": "à l\'école", "image": "é.png"}\n', encoding="utf-8")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "é.png")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "sightline.cli.main", "data", "check", str(rows)]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert (done.returncode, done.stderr) == (0, "") and rows.name in done.stdout


def test_a_system_without_sighup_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.delattr(signal, "SIGHUP")
    try:
        end_on_signals()
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
