"""The machine and the packages that a run would meet, what is missing and why, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from sightline import __version__
from sightline.models.torchvision_schemas import declare_torchvision_operators

REQUIRED = ("torch", "torchvision", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors", "pillow")
# What a run may use, and what for.
OPTIONAL = {
    "flash_attn": "attn_implementation flash_attention_2; sdpa and FlexAttention need nothing",
    "bitsandbytes": "quantized weights (load_in_4bit) and 8-bit optimizers",
    "deepspeed": "sharding by DeepSpeed; FSDP needs nothing",
    "vllm": "nothing here: run it on its own, and reach it as an endpoint",
    "liger_kernel": "use_liger_kernel",
    "playwright": "tests in a browser",
    "psycopg": "the arena on PostgreSQL",
}
MODULES = {"pillow": "PIL"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOW_DISK_GIB = 20
LOW_MEMORY_GIB = 4


@dataclass(frozen=True)
class Package:
    """A package by the version that is installed (empty where it is not), and why its import fails, if it does."""

    name: str
    version: str
    problem: str = ""
    used_for: str = ""


@dataclass(frozen=True)
class Device:
    """An accelerator."""

    name: str
    memory_gib: float
    free_gib: float
    bf16: bool


@dataclass(frozen=True)
class Environment:
    """What a run would meet.

    Attributes:
        memory_gib: of the machine, or of the container where that is less.
        disk_gib: free space by what lies there.
        offline: whether Hugging Face libraries are told to stay offline.
        hub: whether the Hub's host name can be resolved; None where nobody asked.
        tools: paths of programs that tests use; empty where there is none.
        warnings: what is amiss, and what to do.
    """

    sightline: str
    python: str
    system: str
    processor: str
    cpus: int
    memory_gib: float
    available_gib: float
    devices: tuple[Device, ...]
    driver: str
    packages: tuple[Package, ...]
    disk_gib: dict[str, float]
    offline: bool
    hub: bool | None
    tools: dict[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """All that a report of a bug needs, in one line."""
        versions = {package.name: package.version for package in self.packages if package.version}
        named = ", ".join(f"{name} {versions[name]}" for name in REQUIRED if name in versions)
        devices = ", ".join(f"{device.name} {device.memory_gib:.0f} GiB" for device in self.devices) or "no GPU"
        return (
            f"sightline {self.sightline}, Python {self.python}, {self.system}, {self.cpus} CPUs, "
            f"{self.memory_gib:.0f} GiB, {devices}{f' (driver {self.driver})' if self.driver else ''}; {named}"
        )


def read_environment() -> Environment:
    """The environment of this process."""
    import torch

    declare_torchvision_operators()
    offline = any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)
    found = Environment(
        sightline=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=_memory_gib("MemTotal"),
        available_gib=_memory_gib("MemAvailable"),
        devices=_devices(),
        driver=_driver(),
        packages=(
            *(_package(name) for name in REQUIRED),
            *(_package(name, purpose) for name, purpose in OPTIONAL.items()),
        ),
        disk_gib={name: _free_gib(path) for name, path in _places().items()},
        offline=offline,
        hub=None if offline else _resolves("huggingface.co"),
        tools={
            "browser": next(filter(None, map(shutil.which, BROWSERS)), ""),
            "postgres": shutil.which("postgres")
            or shutil.which("pg_ctl")
            or _newest("/usr/lib/postgresql/*/bin/postgres"),
        },
    )
    return Environment(**{**vars(found), "warnings": _warnings(found, torch.get_num_threads())})


_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def _package(name: str, used_for: str = "") -> Package:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, "", "not installed", used_for)
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # whatever a broken extension raises while it loads
        first = str(error).strip().split("\n")[0]
        return Package(name, version, f"{type(error).__name__}: {first}"[:160], used_for)
    return Package(name, version, "", used_for)


def _devices() -> tuple[Device, ...]:
    import torch

    if not torch.cuda.is_available():
        return ()
    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        bf16 = torch.cuda.get_device_capability(index) >= (8, 0)
        devices.append(Device(torch.cuda.get_device_name(index), total / 2**30, free / 2**30, bf16))
    return tuple(devices)


def _driver() -> str:
    """The version of NVIDIA's driver, from the kernel."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text().split("\n")[0].split()
    except OSError:
        return ""
    return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _memory_gib(name: str) -> float:
    """A figure of /proc/meminfo, bounded by what a container may have; 0 where neither tells."""
    limits = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits += [int(line.split()[1]) / 2**20 for line in lines if line.startswith(f"{name}:")]
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()) / 2**30)
    except (OSError, ValueError):  # no Linux, no container, or no limit ("max")
        pass
    return min(limits, default=0.0)


def _places() -> dict[str, Path]:
    cache = os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface"
    return {"Hugging Face cache": Path(cache), "working directory": Path.cwd()}


def _free_gib(path: Path) -> float:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 2**30


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _newest(pattern: str) -> str:
    found = sorted(Path("/").glob(pattern.lstrip("/")))
    return str(found[-1]) if found else ""


def _warnings(found: Environment, threads: int) -> tuple[str, ...]:
    """What is amiss, each with what to do."""
    warnings = [
        f"{package.name} {'is not installed' if not package.version else f'cannot be imported ({package.problem})'}: "
        "install Sightline anew (pip install --upgrade sightline)."
        for package in found.packages
        if package.name in REQUIRED and package.problem
    ]
    warnings += [
        f"{package.name} is installed, but cannot be imported ({package.problem}): mend it, or remove it, since "
        "transformers uses what it finds."
        for package in found.packages
        if package.name in OPTIONAL and package.version and package.problem
    ]
    if not found.devices:
        hint = "a driver is loaded, so install a CUDA build of torch" if found.driver else "small models train"
        warnings.append(f"No GPU that torch can use: training runs on {threads} CPU threads ({hint}).")
    warnings += [
        f"{device.name} computes no bf16: set bf16 to false and fp16 to true."
        for device in found.devices
        if not device.bf16
    ]
    warnings += [
        f"{device.name}: {device.memory_gib - device.free_gib:.0f} of {device.memory_gib:.0f} GiB are taken by others: "
        "end them (nvidia-smi names them), or wait."
        for device in found.devices
        if device.free_gib < 0.8 * device.memory_gib
    ]
    warnings += [
        f"Only {free:.0f} GiB are free at the {name}: make room, or set "
        f"{'HF_HOME' if 'cache' in name else 'output_dir'} to another disk."
        for name, free in found.disk_gib.items()
        if free < LOW_DISK_GIB
    ]
    if 0 < found.available_gib < LOW_MEMORY_GIB:
        warnings.append(f"Only {found.available_gib:.1f} GiB of memory are available: end what holds the rest.")
    if found.hub is False:
        warnings.append(
            "huggingface.co cannot be reached: set HF_HUB_OFFLINE=1 and name local folders, or mend the network."
        )
    return tuple(warnings)
