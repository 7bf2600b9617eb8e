"""Whether a model's weights fit into memory, counted before they are read; what would fit where they do not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.errors import MachineError
from sightline.machine import read_memory
from sightline.models.devices import devices_here
from sightline.models.quantization import method_of
from sightline.models.stored_weights import described_model, stored_bytes
from sightline.settings.loading import AUTO, LoadingOptions

GIB = 2**30
MOST_TIMES = 4  # what a weight can take more than it is stored in: a byte as float32
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "float64": 8.0}
# Of a weight of a rounded layer: bitsandbytes keeps a float32 scale for 64 of 4 bits, and one for a row of 8.
ROUNDED = {"load_in_4bit": 0.5 + 4 / 64, "load_in_8bit": 1.0}
NESTED_SCALES = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True)
class Size:
    """How many weights a model has, and what they take.

    Attributes:
        weights: all of them, tied ones once.
        linear: those in layers that are rounded on request.
        own: bytes of a weight as it is stored.
    """

    weights: int
    linear: int
    own: float

    def bytes_with(self, options: LoadingOptions) -> int:
        """What they take as the options have them."""
        each = BYTES.get(options.dtype, self.own)
        if not options.is_quantizing:
            return math.ceil(self.weights * each)
        rounded = ROUNDED["load_in_8bit" if options.load_in_8bit else "load_in_4bit"]
        if options.load_in_4bit and options.use_bnb_nested_quant:
            rounded = NESTED_SCALES
        return math.ceil((self.weights - self.linear) * each + self.linear * rounded)


@dataclass(frozen=True)
class Room:
    """Memory that weights can lie in: of a device, or of all together."""

    name: str
    free: int
    total: int


def require_room(name: str, config: Any, options: LoadingOptions, device: str | None) -> None:
    """Nothing where the weights of a folder or Hub id fit where they are to lie, or nothing tells.

    Args:
        device: where; None where the layers are spread over all devices.

    Raises:
        MachineError: they do not; with the bytes, and what would fit.
    """
    here = list(rooms())
    every = Room("all devices together", sum(one.free for one in here), sum(one.total for one in here))
    room = every if device is None else _room_of(device, here)
    if room is None or not room.total or 0 < MOST_TIMES * stored_bytes(Path(name)) <= room.free:
        return  # without the second or so that building a large model without memory takes
    size = size_of(name, config)
    needed = size.bytes_with(options) if size is not None else 0
    if size is None or needed <= room.free:
        return
    fitting = ", ".join(_fitting(size, options, room, here, every)) or (
        "nothing that is here: free some memory, or take a machine with more"
    )
    raise MachineError(
        f"{name} has {size.weights:,} weights, which take {needed / GIB:.2f} GiB {_as_what(options)}, but {room.name} "
        f"has {room.free / GIB:.2f} GiB free of {room.total / GIB:.2f}. What would fit: {fitting}."
    )


def size_of(name: str, config: Any) -> Size | None:
    """The size of a folder or Hub id by its config and what is stored; None where neither tells."""
    stored = stored_bytes(Path(name))
    if method_of(config):
        return Size(stored, 0, 1.0) if stored else None  # which take what they take in their files
    model = described_model(config)
    if model is None:
        return Size(stored // 2, 0, 2.0) if stored else None  # of authors whose class has another maker: 2 bytes each
    head = model.get_output_embeddings()
    parts = {id(one): one for one in model.state_dict(keep_vars=True).values()}
    weights = sum(one.numel() for one in parts.values())
    rounded = [part.weight for part in model.modules() if type(part) is nn.Linear and part is not head]
    linear = sum(one.numel() for one in {id(one): one for one in rounded}.values())
    dtype = str(getattr(config, "dtype", None) or "").removeprefix("torch.")
    return Size(weights, linear, BYTES.get(dtype) or (stored / weights if stored else 4.0))


def rooms() -> Iterator[Room]:
    """The memory of each device that is here, that of the machine last."""
    for device in devices_here():
        if device == "cpu":
            memory = read_memory()
            limit = f"cpu ({memory.limited_by})" if memory.limited_by else "cpu"
            yield Room(limit, memory.available, memory.total if memory.available else 0)
        elif device == "mps":
            most = torch.mps.recommended_max_memory()
            yield Room(device, max(0, most - torch.mps.current_allocated_memory()), most)
        else:
            module = torch.xpu if device.startswith("xpu") else torch.cuda
            yield Room(device, *module.mem_get_info(device))


def _room_of(device: str, here: list[Room]) -> Room | None:
    name = f"{device}:0" if device in ("cuda", "xpu") else device
    return next((one for one in here if one.name.split(" (")[0] == name), None)


def _fitting(size: Size, options: LoadingOptions, room: Room, here: list[Room], every: Room) -> Iterator[str]:
    """What fits in place of what was asked for: fewer bits there, the same elsewhere, or spread."""
    needed = size.bytes_with(options)
    plain = replace(options, load_in_4bit=False, load_in_8bit=False)
    others = {
        "--dtype bfloat16": replace(plain, dtype="bfloat16"),
        **({} if not size.linear else {
            "--load_in_8bit": replace(plain, load_in_8bit=True), "--load_in_4bit": replace(plain, load_in_4bit=True),
        }),
    }  # fmt: skip
    for flag, other in others.items():
        fewer = size.bytes_with(other)
        if fewer < needed and fewer <= room.free:
            yield f"{flag} ({fewer / GIB:.2f} GiB)"
    if room is every:
        return
    for one in here:
        if one != room and needed <= one.free:
            yield f"--device {one.name.split(' (')[0]} ({one.free / GIB:.2f} GiB free)"
    if len(here) > 1 and needed <= every.free:
        yield f"--device_map auto ({every.free / GIB:.2f} GiB free on {len(here)} devices)"


def _as_what(options: LoadingOptions) -> str:
    if options.is_quantizing:
        return f"in {4 if options.load_in_4bit else 8} bits"
    return "as they are stored" if options.dtype == AUTO else f"in {options.dtype}"
