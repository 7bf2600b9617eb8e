"""Loading options of training commands: TRL's flags of the model and our own, joined into one record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import trl

from sightline.errors import ConfigError
from sightline.launch.processes import launched
from sightline.models.devices import chosen_device
from sightline.settings.loading import AUTO, LoadingOptions, options_of

OF_TRL = (
    "model_revision", "dtype", "attn_implementation", "load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type",
    "use_bnb_nested_quant", "bnb_4bit_quant_storage",
)  # fmt: skip


@dataclass
class LoadingArguments:
    """How a model is loaded, beside TRL's ModelConfig."""

    device: str | None = field(
        default=None, metadata={"help": "cpu, cuda, cuda:N, mps or xpu; by default every GPU there is, else the CPU."}
    )
    device_map: str | None = field(
        default=None, metadata={"help": "auto: spread the layers over all GPUs, and the CPU for what they do not hold."}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of a tokenizer, for checkpoints that have none."}
    )
    chat_template: str | None = field(
        default=None, metadata={"help": "File of a chat template (jinja), or plain: pictures and words alone."}
    )
    min_pixels: int | None = field(default=None, metadata={"help": "Processor: fewest pixels of a picture."})
    max_pixels: int | None = field(default=None, metadata={"help": "Processor: most pixels of a picture."})
    size: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Processor: a side, or {height: 448, width: 448}."}
    )
    image_size: int | None = field(default=None, metadata={"help": "Processor: a side, where it is called so."})
    max_patches: int | None = field(default=None, metadata={"help": "Processor: most tiles of a picture."})
    max_image_tokens: int | None = field(default=None, metadata={"help": "Processor: most tokens of a picture."})
    do_image_splitting: bool | None = field(default=None, metadata={"help": "Processor: cut pictures into tiles?"})
    processor_settings: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Processor: others, by its own names: do_resize=false,crop_size=448."}
    )


def joined_options(model: trl.ModelConfig, own: LoadingArguments) -> LoadingOptions:
    """The record of both.

    Raises:
        ConfigError: a value that cannot be, or values that exclude each other.
    """
    of_trl = {name: getattr(model, name) for name in OF_TRL}
    return options_of({**of_trl, "dtype": model.dtype or AUTO, **dataclasses.asdict(own)})


def require_device(device: str | None, device_map: str | None, args: Any) -> None:
    """Nothing where a run can compute on the device that it is told to take, which transformers then takes itself.

    Raises:
        ConfigError: it is not here, or not this one's to take.
    """
    count = launched().count
    named = "device" if device not in (None, "cpu") else "device_map" if device_map is not None else ""
    if named and count > 1:
        raise ConfigError(f"{named}: each of {count} processes takes a GPU of its own. Leave it out.")
    if device is None:
        return
    kind = device.partition(":")[0]
    chosen_device(kind)  # of several GPUs the one that is named is the only one that this process sees
    if args.device.type != kind:
        raise ConfigError(
            f"device: {device} was asked for, but the run computes on {args.device.type} (use_cpu "
            f"{str(args.use_cpu).lower()}). Leave one of them out."
        )
