"""A new file appears whole or not at all, and is written by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.data.sources.new_file import new_file
from sightline.errors import ConfigError

WRITES = """
import sys
from pathlib import Path
from sightline.data.sources.new_file import new_file
with new_file(Path(sys.argv[1])) as new:
    new.file.write(b"half")
    new.file.flush()
    new.folder.mkdir()
    (new.folder / "a.png").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(out: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", WRITES, str(out)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("name", ["rows.jsonl", "r" * 240 + ".jsonl"])
def test_what_a_killed_process_left_is_cleared_at_the_next_start(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    with writer(out) as killed:
        os.kill(killed.pid, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2, "the hidden file and folder"
    with new_file(out) as new:
        new.file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert out.read_bytes() == b"whole"


def test_two_processes_never_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with writer(out) as first:
        with pytest.raises(ConfigError, match="another process is writing .*rows.jsonl"), new_file(out):
            pytest.fail("both write")
        first.communicate("")
    assert out.read_bytes() == b"half" and (tmp_path / "rows_images" / "a.png").is_file()
    with pytest.raises(ConfigError, match="is there already"), new_file(out):
        pytest.fail("it is overwritten")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows_images"]


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "rows.jsonl") as new:
        new.folder.mkdir()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
