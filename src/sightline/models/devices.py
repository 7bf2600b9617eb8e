"""Choose the device that a model computes on, among those that are here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from sightline.errors import ConfigError
from sightline.settings.loading import LoadingOptions


def chosen_device(given: str | None) -> str:
    """The device of that name; the first GPU where there is one, else the CPU, by default.

    Raises:
        ConfigError: it is not here; names those that are.
    """
    here = list(devices_here())
    if given is None:
        return "cuda" if "cuda:0" in here else "cpu"
    first = f"{given}:0" if given in ("cuda", "xpu") else given
    if first not in here:
        raise ConfigError(f"device: {given} is not here; torch {torch.__version__} sees {', '.join(here)}. Name one.")
    return given


def devices_here() -> Iterator[str]:
    """The devices that torch can compute on, accelerators first."""
    yield from (f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    if torch.xpu.is_available():
        yield from (f"xpu:{index}" for index in range(torch.xpu.device_count()))
    if torch.backends.mps.is_available():
        yield "mps"
    yield "cpu"


def of_process(options: LoadingOptions, device: str | None, count: int) -> LoadingOptions:
    """The options of one of `count` processes, whose own device is `device`; None where it has none of its own.

    Raises:
        ConfigError: several processes would share what one of them is told to take, or a device is not here.
    """
    if count > 1:
        named = [name for name in ("device", "device_map") if getattr(options, name) is not None]
        if named and options.device != "cpu":
            raise ConfigError(f"{named[0]}: each of {count} processes takes a GPU of its own. Leave it out.")
    if options.device_map is not None:
        return options
    return replace(options, device=chosen_device(options.device or device))


def is_placed(model: Any) -> bool:
    """Whether the model lies where it was loaded, spread over devices or rounded for one, and is not to be moved."""
    return getattr(model, "hf_device_map", None) is not None or getattr(model, "is_quantized", False)
