"""Tests of engine, models and trainers on the newest transformers, TRL and PEFT, beside the torch at hand: a module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.project_tree import ROOT

ENVIRONMENT = ROOT / ".venv-next"
TRIED = ("transformers", "trl", "peft")
KEPT = ("torch", "torchvision")
TESTS = ("tests/engine", "tests/families", "tests/models", "tests/training")


def main() -> int:
    """The exit code of the tests; 0 where nothing newer installs, 1 where the package index cannot be asked."""
    python = layered_environment(ENVIRONMENT)
    pip = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--no-warn-conflicts"]
    wanted = [*TRIED, *(f"{name}=={version(name)}" for name in KEPT)]
    asked = subprocess.run([*pip, "--dry-run", "--report", "-", *wanted], stdout=subprocess.PIPE, encoding="utf-8")
    if asked.returncode:
        print("make test-next: pip could not look for newer versions, for the reason above.", file=sys.stderr)
        return 1
    newer = newer_versions(json.loads(asked.stdout))
    if not newer:
        here = ", ".join(f"{name} {version(name)}" for name in TRIED)
        print(f"make test-next: pip finds nothing newer than {here}, which `make test` tests.")
        return 0
    subprocess.run([*pip, *wanted], check=True)
    tried = ", ".join(f"{name} {newer.get(name, version(name))}" for name in (*TRIED, *KEPT))
    print(f"make test-next: {tried}", flush=True)
    tests = [python, "-m", "pytest", "-n", "2", "-m", "not soak", "--durations=5", *TESTS]
    return subprocess.run(tests, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode


def layered_environment(folder: Path) -> str:
    """The Python of a new environment that sees all packages of this one below its own."""
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    own = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], encoding="utf-8"
    ).strip()
    # addsitedir and no bare path: it also follows the link that an editable install leaves.
    below = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(own, "below.pth").write_text(below, encoding="utf-8")
    return str(python)


def newer_versions(report: dict[str, Any]) -> dict[str, str]:
    """Of a report of pip: those tried that it would install in another version than the one here."""
    found = {one["metadata"]["name"].lower(): one["metadata"]["version"] for one in report["install"]}
    return {name: found[name] for name in TRIED if name in found and found[name] != version(name)}


if __name__ == "__main__":
    sys.exit(main())
