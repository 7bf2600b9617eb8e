"""The machine: what reproduces a result, and the memory and CPUs that this process may use."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


ROOT = Path("/")

# Files of a control group: its limit, its use, and what of the use is given back when asked for; by version.
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Memory:
    """Memory that this process may use.

    Attributes:
        total: bytes; 0 where nothing tells.
        available: bytes of it that nobody holds; 0 where nothing tells.
        limited_by: what allows less than the machine has; empty where nothing does.
    """

    total: int
    available: int
    limited_by: str = ""


def read_memory(root: Path = ROOT) -> Memory:
    """The machine's memory, or the least that a control group around this process or `ulimit` allows."""
    machine = _machine(root)
    found = [*([machine] if machine.total else []), *_groups_memory(root), *_ulimits(root)]
    if not found:
        return machine
    least = min(found, key=lambda one: one.total)  # the machine itself where a limit says as much
    return Memory(least.total, max(0, min(one.available for one in found)), least.limited_by)


def usable_cpus(root: Path = ROOT) -> int:
    """CPUs that this process may use: those it is bound to, or the quota of a control group, rounded up."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(math.ceil(quota) for quota in _quotas(root))]))


def _machine(root: Path) -> Memory:
    kilobytes = dict(re.findall(r"^(\w+):\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE))
    figures = {name: int(number) * 1024 for name, number in kilobytes.items()}
    if "MemTotal" in figures:
        return Memory(figures["MemTotal"], figures.get("MemAvailable", figures.get("MemFree", 0)))
    try:
        return Memory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), 0)
    except (AttributeError, OSError, ValueError):  # Windows, or a system without the name
        return Memory(0, 0)


def _groups_memory(root: Path) -> Iterator[Memory]:
    for folder in _groups("memory", root):
        for limit_file, use_file, given_back in _MEMORY_FILES:
            limit = _number(folder / limit_file)
            if limit is None:
                continue
            freed = re.search(rf"^{given_back} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            used = (_number(folder / use_file) or 0) - (int(freed[1]) if freed else 0)
            yield Memory(limit, limit - max(0, used), "the control group")


def _ulimits(root: Path) -> Iterator[Memory]:
    """Limits of this process alone: of addresses (-v), which what is loaded takes, too, and of data (-d)."""
    try:
        import resource
    except ImportError:  # Windows
        return
    status = _text(root / "proc/self/status")
    for flag, number, size in (("-v", resource.RLIMIT_AS, "VmSize"), ("-d", resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(number)[0]
        if limit != resource.RLIM_INFINITY:
            used = re.search(rf"^{size}:\s*(\d+) kB", status, re.MULTILINE)
            yield Memory(limit, limit - (int(used[1]) * 1024 if used else 0), f"ulimit {flag}")


def _quotas(root: Path) -> Iterator[float]:
    for folder in _groups("cpu", root):
        words = _text(folder / "cpu.max").split()  # version 2
        if not words:
            words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):  # else "max", -1 or nothing
            yield int(words[0]) / int(words[1])


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the control groups that this process is in, its own and those around it, of both versions."""
    paths = _own_paths(controller, root)
    seen = set()
    for version, inside, mount in _mounts(controller, root):
        own = paths.get(version, "/")
        within = os.path.relpath(own, inside) if own.startswith(inside) else "."  # a container sees a part as a whole
        folder = mount if within.startswith("..") else mount / within
        for place in (folder, *folder.parents):
            if not place.is_relative_to(mount):
                break
            if place not in seen:
                seen.add(place)
                yield place


def _own_paths(controller: str, root: Path) -> dict[int, str]:
    """Where this process is in the tree of each version."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            paths[1] = path
        elif number == "0" and not controllers:
            paths[2] = path
    return paths


def _mounts(controller: str, root: Path) -> Iterator[tuple[int, str, Path]]:
    """Version, part of the tree and place of each tree that is mounted; at last those of the usual places."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        words, _, kind = line.partition(" - ")
        fields, kinds = words.split(), kind.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        place = root / _unescaped(fields[4]).lstrip("/")
        if kinds[0] == "cgroup2":
            yield 2, _unescaped(fields[3]), place
        elif kinds[0] == "cgroup" and controller in kinds[2].split(","):
            yield 1, _unescaped(fields[3]), place
    usual = root / "sys/fs/cgroup"
    yield from ((2, "/", usual), (1, "/", usual / controller))


def _unescaped(path: str) -> str:
    """A path of mountinfo, which writes a space as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None  # "max" is no limit


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
