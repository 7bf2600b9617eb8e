"""Record what reproduces a result: interpreter, packages, machine, commit and command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sightline.limits import usable_cpus
from sightline.secrets import hidden_command

_CHECKOUT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "sightline", "torch", "torchvision", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors",
    "tokenizers", "huggingface_hub", "pillow", "numpy", "scipy",
)  # fmt: skip
_DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "WORLD_SIZE")


def describe_environment() -> dict[str, Any]:
    """What someone needs to reproduce a run: interpreter, packages, machine, devices, commit, command."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": hidden_command(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": usable_cpus(),
        "devices": _devices(),
        "variables": {name: os.environ[name] for name in _DEVICE_VARIABLES if name in os.environ},
        "packages": {name: version for name in _PACKAGES if (version := installed_version(name))},
        "commit": _commit(_CHECKOUT),
    }


def installed_version(package: str) -> str:
    """The version of an installed package, with its build, `2.13.0+cu130`, where the package names one; else empty.

    An index leaves the build of torch and torchvision out of what pip knows; the package itself has it.
    """
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
    written = Path(str(found.locate_file(f"{package}/version.py")))
    try:
        named = re.search(r"^__version__ = ['\"](.+)['\"]", written.read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        named = None
    if named and named[1].partition("+")[0] == found.version.partition("+")[0]:
        return named[1]
    return found.version


def _devices() -> list[str]:
    """Names of the accelerators, if torch is loaded already; loading it for a description would cost seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _commit(root: Path) -> str:
    """The commit of the checkout that this code runs from, with `+changes` if files differ; empty when installed."""
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *arguments: str) -> str:
    # Without its optional lock: a run killed meanwhile would leave index.lock, which stops the user's own git.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=10).stdout.decode(errors="replace").strip()
