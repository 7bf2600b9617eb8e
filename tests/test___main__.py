"""Ctrl-C before the command line is read: as few modules as can be come first, and one line is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sightline

SOURCE = Path(sightline.__file__).parents[1]
# An import during which Ctrl-C comes, in code that takes any exception for a missing module.
LOST = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "sightline.cli.main":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**6): pass
            except BaseException:
                pass
signal.signal(signal.SIGINT, signal.{heard})
sys.meta_path.insert(0, Finder())
sys.argv = ["sightline", "--version"]
from sightline.__main__ import main
main()
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    text = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)


def test_no_module_is_read_from_a_file_before_the_commands_own() -> None:
    code = "before = {*sys.modules}; import sightline.__main__; print(sorted({*sys.modules} - before))"
    assert run_python(code).stdout.strip() == "['sightline', 'sightline.__main__']"


def test_ctrl_c_while_modules_are_imported_ends_in_a_line() -> None:
    ended = run_python(LOST.format(heard="default_int_handler"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted.\n")


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    ended = run_python(LOST.format(heard="SIG_IGN"))
    assert (ended.returncode, ended.stdout.split()[:1]) == (0, ["sightline"])
