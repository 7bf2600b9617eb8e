"""What is recorded of machine and packages."""

from __future__ import annotations

import importlib.metadata
import os
import resource
from pathlib import Path

import pytest
import torch

from sightline.machine import Memory, describe_environment, installed_version, read_memory, usable_cpus


class Installed:
    """A distribution as pip knows it, by a version without its build."""

    version = "2.13.0"

    def __init__(self, folder: Path) -> None:
        self.locate_file = folder.joinpath


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("from typing import Optional\n__version__ = '2.13.0+cu130'\ncuda = '13.0'\n", "2.13.0+cu130"),
        ('__version__ = "2.13.0+cpu"\n', "2.13.0+cpu"),
        ("__version__ = '9.9'\n", "2.13.0"),  # the version of something else
        ("import os\n", "2.13.0"),
        (None, "2.13.0"),
    ],
)
def test_the_build_of_a_package_is_shown_where_only_the_package_names_it(tmp_path, monkeypatch, written, version):
    if written is not None:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch/version.py").write_text(written, encoding="utf-8")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(tmp_path))
    assert installed_version("torch") == version


def test_the_version_of_torch_is_what_torch_says_and_nothing_for_what_is_not_installed():
    assert describe_environment()["packages"]["torch"] == installed_version("torch") == torch.__version__
    assert installed_version("no-such-package") == ""


GIB = 2**30
V1 = "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/\n"
V2 = "0::/user.slice/run.scope\n"
MOUNTS_V1 = (
    "1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "2 0 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
MOUNTS_V2 = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
NO_LIMIT_V1 = str(0x7FFFFFFFFFFFF000)


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A machine of 24 GiB, 20 available, as its /proc and /sys tell."""
    files = {
        "proc/meminfo": f"MemTotal: {24 * 2**20} kB\nMemAvailable: {20 * 2**20} kB\n",
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": mounts,
        **files,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "total", "available"),
    [
        (V1, MOUNTS_V1, {"memory/memory.limit_in_bytes": NO_LIMIT_V1}, 24, 20),
        (V1, MOUNTS_V1, {"memory/docker/a/memory.limit_in_bytes": str(2 * GIB)}, 2, 2),
        (V1, MOUNTS_V1, {"memory/docker/memory.limit_in_bytes": str(3 * GIB)}, 3, 3),
        (V2, MOUNTS_V2, {"user.slice/run.scope/memory.max": "max\n", "user.slice/memory.max": f"{4 * GIB}\n"}, 4, 4),
        (V2, MOUNTS_V2, {"user.slice/run.scope/memory.max": f"{GIB}\n", "user.slice/memory.max": f"{4 * GIB}"}, 1, 1),
        ("0::/\n", "", {"memory.max": str(2 * GIB)}, 2, 2),
        ("", "", {"memory/memory.limit_in_bytes": str(2 * GIB)}, 2, 2),
        # The host's path of a container that sees its own part as the whole tree.
        ("0::/docker/b\n", MOUNTS_V2.replace(" / ", " /docker/b ", 1), {"memory.max": str(5 * GIB)}, 5, 5),
        ("0::/docker/bc\n", MOUNTS_V2.replace(" / ", " /docker/b ", 1), {"memory.max": str(5 * GIB)}, 5, 5),
        # 3 of 4 GiB are used, 1 of them by files that are given back.
        (
            V1, MOUNTS_V1,
            {
                "memory/docker/a/memory.limit_in_bytes": str(4 * GIB),
                "memory/docker/a/memory.usage_in_bytes": str(3 * GIB),
                "memory/docker/a/memory.stat": f"cache 5\ninactive_file 7\ntotal_inactive_file {GIB}\n",
            },
            4, 2,
        ),
        (
            V2, MOUNTS_V2,
            {
                "user.slice/memory.max": str(4 * GIB),
                "user.slice/memory.current": str(3 * GIB),
                "user.slice/memory.stat": f"file 5\ninactive_file {GIB}\n",
            },
            4, 2,
        ),
    ],
)  # fmt: skip
def test_memory_is_the_least_that_the_machine_or_a_control_group_allows(
    tmp_path, groups, mounts, files, total, available
):
    root = machine(tmp_path, groups, mounts, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    found = read_memory(root)
    assert (found.total / GIB, found.available / GIB) == (total, available)
    assert found.limited_by == ("" if total == 24 else "the control group")


@pytest.mark.parametrize(("flag", "number"), [("-v", resource.RLIMIT_AS), ("-d", resource.RLIMIT_DATA)])
def test_ulimit_bounds_memory_less_what_the_process_has_taken(tmp_path, monkeypatch, flag, number):
    root = machine(tmp_path, "", "", {"proc/self/status": f"VmSize:\t{2**20} kB\nVmData:\t{2**20} kB\n"})
    limits = {number: (3 * GIB, 3 * GIB)}
    monkeypatch.setattr(resource, "getrlimit", lambda asked: limits.get(asked, (resource.RLIM_INFINITY,) * 2))
    assert read_memory(root) == Memory(3 * GIB, 2 * GIB, f"ulimit {flag}")


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "cpus"),
    [
        (V2, MOUNTS_V2, {"user.slice/cpu.max": "max 100000\n"}, 8),
        (V2, MOUNTS_V2, {"user.slice/cpu.max": "250000 100000\n"}, 3),
        (V2, MOUNTS_V2, {"user.slice/run.scope/cpu.max": "5000 100000\n"}, 1),
        (V1, MOUNTS_V1, {"cpu,cpuacct/docker/a/cpu.cfs_quota_us": "-1\n"}, 8),
        (
            V1, MOUNTS_V1,
            {
                "cpu,cpuacct/docker/a/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)  # fmt: skip
def test_cpus_are_those_of_the_process_or_of_a_quota(tmp_path, monkeypatch, groups, mounts, files, cpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    root = machine(tmp_path, groups, mounts, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert usable_cpus(root) == cpus


def test_a_machine_that_tells_nothing_has_some_memory_or_none_and_a_cpu(tmp_path):
    found = read_memory(tmp_path)
    assert found.total >= 0 and found.available == 0 and usable_cpus(tmp_path) >= 1
