"""Load a VLM and its processor from a Hugging Face folder, a Hub id or an adapter folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sightline.errors import InputError
from sightline.models.adapter_folders import SETTINGS, Base, base_of_adapter, is_adapter, require_no_adapter
from sightline.models.adapters import load_adapter
from sightline.models.devices import chosen_device, is_placed
from sightline.models.folders import (
    reading,
    require_embedded,
    require_feature_layers,
    require_image_token,
    require_padding,
    require_picture_settings,
    require_whole,
    require_whole_characters,
    why_unreadable,
)
from sightline.models.patches import patched_config
from sightline.models.pretrained import load_pretrained
from sightline.models.processor_settings import fitted_processor, read_processor
from sightline.models.quantization import method_of, quantization_of, require_quantizer, require_unquantized
from sightline.models.room import require_room
from sightline.settings.loading import LoadingOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass(frozen=True)
class LoadedVlm:
    """A model in evaluation mode with the processor that prepares its inputs.

    Attributes:
        name: the folder or Hub id it came from, with the adapter where there is one, for messages and records.
        adapted: whether `model` is PEFT's wrapper.
    """

    model: PreTrainedModel
    processor: ProcessorMixin
    name: str
    adapted: bool = False

    @property
    def inner(self) -> Any:
        """The model itself, with the adapter's layers inside it but without PEFT's wrapper."""
        return self.model.get_base_model() if self.adapted else self.model


def load_vlm(
    name_or_path: str | Path,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    adapter: str | Path | None = None,
    options: LoadingOptions | None = None,
) -> LoadedVlm:
    """Load a model in evaluation mode with its processor; code from the folder is never run.

    Args:
        name_or_path: a folder, a Hub id, or a folder that holds only an adapter (its base model is then found
            through `adapter_config.json`).
        dtype: that of `options`, in short; "auto" keeps the checkpoint's own.
        device: that of `options`, in short; the first GPU where there is one, else the CPU, by default.
        adapter: a PEFT adapter folder to put on top.
        options: all that can be said of loading.

    Raises:
        InputError: no such folder or Hub id, no model in it, no processor in it, options that it has not.
        MachineError: a package is missing.

    Example:
        from sightline import load_vlm

        vlm = load_vlm("sft", device="cpu")
        print(vlm.name, vlm.model.num_parameters())
    """
    options = _with_short_forms(options or LoadingOptions(), dtype, device)
    base = Base(os.path.expanduser(name_or_path), options.model_revision)
    adapter = os.path.expanduser(adapter) if adapter is not None else None
    if adapter is not None:
        _check_folder(adapter, SETTINGS, "Expected an adapter folder as PEFT writes it")
        require_no_adapter(base.name, adapter)
    elif is_adapter(base.name):
        base, adapter = _own_base(base), base.name
    target = None if options.device_map else chosen_device(options.device)
    model, processor = load_model(base, options), load_processor(base, adapter, options)
    require_image_token(base.name, model.config, processor)
    require_feature_layers(base.name, model.config)
    require_padding(base.name, processor)
    require_picture_settings(base.name, processor)
    require_embedded(base.name, model.config, processor)
    if adapter is not None:
        model = load_adapter(model, adapter)
    name = base.name if adapter is None else f"{base.name} + {adapter}"
    model = model if target is None or is_placed(model) else model.to(target)
    return LoadedVlm(model.eval(), processor, name, adapted=adapter is not None)


def _with_short_forms(
    options: LoadingOptions, dtype: str | torch.dtype | None, device: str | torch.device | None
) -> LoadingOptions:
    options = options if dtype is None else replace(options, dtype=str(dtype).removeprefix("torch."))
    return options if device is None else replace(options, device=str(device))


def _own_base(adapter: Base) -> Base:
    """The base that an adapter names; a revision that was asked for is that of the base."""
    base = base_of_adapter(adapter.name)
    return replace(base, revision=adapter.revision) if adapter.revision is not None else base


def load_model(base: Base, options: LoadingOptions) -> PreTrainedModel:
    """The model of a folder or Hub id, on the CPU, or where its weights are rounded or spread while they are loaded.

    Raises:
        InputError: there is none, or it cannot be loaded.
        MachineError: a package or a device is missing.
    """
    from transformers import AutoModelForImageTextToText

    folder = base.name
    _check_folder(folder, "config.json", "Expected a model folder as `save_pretrained` or `sightline build` writes it")
    if Path(folder).is_dir():
        require_whole(folder)
    config = patched_config(folder, base.revision)
    target = None if options.device_map else chosen_device(options.device)
    require_unquantized(folder, config, options)
    require_quantizer(folder, config, target)
    require_room(folder, config, options, target)
    asked: dict[str, Any] = {"dtype": options.dtype, "revision": base.revision}
    if options.attn_implementation is not None:
        asked["attn_implementation"] = options.attn_implementation
    quantization = quantization_of(options, getattr(config, "dtype", None))
    if quantization is not None:
        asked["quantization_config"] = quantization
    if target is None:
        asked["device_map"] = options.device_map
    elif quantization is not None or method_of(config) or target.startswith("cuda"):
        asked["device_map"] = {"": target}  # at once, without room for it on the CPU
    with reading(folder, "The model"):
        return load_pretrained(AutoModelForImageTextToText, folder, asked)


def load_processor(base: Base, adapter: str | None, options: LoadingOptions) -> ProcessorMixin:
    """The processor that an adapter was saved with, else that of its base, with the options' settings and template.

    Raises:
        InputError: there is none for images and text, or it cannot be loaded.
    """
    from transformers import ProcessorMixin

    source = processor_source(base, adapter)
    folder, revision = source.name, source.revision
    reason: Any = "the folder has a tokenizer only"
    try:
        processor = read_processor(folder, revision, options)
    except (ImportError, InputError):  # a package that its class needs; code or a pickle, which is told already
        raise
    except Exception as error:  # transformers checks little of what it reads
        processor, reason = None, why_unreadable(folder, error)
    if isinstance(processor, ProcessorMixin):
        require_whole_characters(folder, processor)
        return fitted_processor(processor, options, folder)
    raise InputError(
        f"{folder} has no processor that prepares images and text ({reason}). Copy it from the base model: "
        f'`AutoProcessor.from_pretrained(BASE).save_pretrained("{folder}")`.'
    )


def processor_source(base: Base, adapter: str | None) -> Base:
    """Where the processor of an adapted model lies: with the adapter, where one was saved there."""
    names = ("processor_config.json", "preprocessor_config.json")
    if adapter is not None and any(Path(adapter, name).is_file() for name in names):
        return Base(adapter)
    return base


def _check_folder(folder: str, needed: str, expected: str) -> None:
    """Raise for a path that is missing or is no such folder; a name like `owner/model` is left to the Hub."""
    path = Path(folder)
    if path.is_dir() and not (path / needed).is_file():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{folder} has no {needed}. {expected}; the folder holds {found}.")
    looks_like_path = folder.startswith((".", "/")) or folder.count("/") > 1 or path.is_file()
    if looks_like_path and not path.is_dir():
        raise InputError(f"There is no folder {folder}. {expected}, or a Hub id such as `owner/name`.")
