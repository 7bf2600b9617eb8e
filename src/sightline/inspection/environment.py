"""Inspect the machine and packages: what is missing, why it matters, what to do."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from sightline import __version__
from sightline.machine import installed_version, read_memory, usable_cpus
from sightline.models.torchvision_schemas import has_compiled_operators

REQUIRED = ("torch", "torchvision", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors", "pillow")
# What a run may use, and what for.
OPTIONAL = {
    "flash_attn": "attn_implementation flash_attention_2; sdpa and FlexAttention need nothing",
    "bitsandbytes": "quantized weights (load_in_4bit) and 8-bit optimizers",
    "deepspeed": "sharding by DeepSpeed; FSDP needs nothing",
    "vllm": "nothing here: run it on its own, and reach it as an endpoint",
    "liger_kernel": "use_liger_kernel",
    "playwright": "tests in a browser",
}
MODULES = {"pillow": "PIL"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CACHE = "Hugging Face cache"
TORCHVISION_AHEAD = 15  # torchvision 0.28 is that of torch 2.13, and so on
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
        cpus: that this process may use.
        memory_gib: that this process may use.
        memory_limit: what allows less memory than the machine has; empty where nothing does.
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
    memory_limit: str
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

    memory = read_memory()
    offline = any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)
    found = Environment(
        sightline=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=usable_cpus(),
        memory_gib=memory.total / 2**30,
        available_gib=memory.available / 2**30,
        memory_limit=memory.limited_by,
        devices=_devices(),
        driver=_driver(),
        packages=(
            *(_package(name) for name in REQUIRED),
            *(_package(name, purpose) for name, purpose in OPTIONAL.items()),
        ),
        disk_gib={name: _free_gib(path) for name, path in _places().items()},
        offline=offline,
        hub=None if offline else _resolves("huggingface.co"),
        tools={"browser": next(filter(None, map(shutil.which, BROWSERS)), "")},
    )
    warnings = (*_torchvision_warnings(), *_warnings(found, torch.get_num_threads()))
    return Environment(**{**vars(found), "warnings": warnings})


_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def _package(name: str, used_for: str = "") -> Package:
    version = installed_version(name)
    if not version:
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
        words = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace").split("\n")[0].split()
    except OSError:
        return ""
    return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _places() -> dict[str, Path]:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    cache = os.path.expanduser(os.environ.get("HF_HOME") or os.path.join(caches, "huggingface"))
    places = {} if cache.startswith("~") else {CACHE: Path(cache)}  # a user id without a name, and no HOME
    return {**places, "working directory": Path.cwd()}


def _free_gib(path: Path) -> float:
    """Free space where a path lies, or will lie."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.exists(place))
    return shutil.disk_usage(there).free / 2**30


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _torchvision_warnings() -> tuple[str, ...]:
    """What to install where torchvision came without operators for this torch; pictures are read without them."""
    import torch

    if "torchvision" not in sys.modules or has_compiled_operators():
        return ()
    minor = int(torch.__version__.split(".")[1]) + TORCHVISION_AHEAD
    build = torch.__version__.partition("+")[2]
    if not build:
        build = f"cu{torch.version.cuda.replace('.', '')}" if torch.version.cuda else "cpu"
    return (
        f"torchvision {installed_version('torchvision')} has no operators that load beside torch "
        f"{installed_version('torch')}: Sightline works without them, but other programs, plain transformers too, fail "
        f"where they import torchvision. Install the one that fits: pip install --force-reinstall --no-deps "
        f"'torchvision==0.{minor}.*' "
        f"--index-url https://download.pytorch.org/whl/{build}",
    )


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
        warnings.append(
            f"No GPU that torch can use: training runs on {threads} CPU thread{'s' * (threads != 1)} ({hint})."
        )
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
        f"{'HF_HOME' if name == CACHE else 'output_dir'} to another disk."
        for name, free in found.disk_gib.items()
        if free < LOW_DISK_GIB
    ]
    if 0 < found.available_gib < LOW_MEMORY_GIB:
        limit = f", or raise the limit of {found.memory_limit}" if found.memory_limit else ""
        warnings.append(f"Only {found.available_gib:.1f} GiB of memory are available: end what holds the rest{limit}.")
    if threads > found.cpus:
        warnings.append(
            f"torch computes on {threads} threads, but this process may use {found.cpus} CPUs: set "
            f"OMP_NUM_THREADS={found.cpus}."
        )
    if CACHE not in found.disk_gib:
        warnings.append(
            "No home folder is known: nothing is stored between runs. Name folders by SIGHTLINE_CACHE and HF_HOME."
        )
    if found.hub is False:
        warnings.append(
            "huggingface.co cannot be reached: set HF_HUB_OFFLINE=1 and name local folders, or mend the network."
        )
    return tuple(warnings)
