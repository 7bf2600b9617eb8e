"""Load a VLM and its processor from a Hugging Face folder, a Hub id or an adapter folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sightline.errors import InputError
from sightline.models.adapter_folders import SETTINGS, Base, base_of_adapter, is_adapter, require_no_adapter
from sightline.models.adapters import load_adapter
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
from sightline.models.torchvision_schemas import declare_torchvision_operators

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
    dtype: str | torch.dtype = "auto",
    device: str | torch.device | None = None,
    adapter: str | Path | None = None,
) -> LoadedVlm:
    """Load a model in evaluation mode with its processor; code from the folder is never run.

    Args:
        name_or_path: a folder, a Hub id, or a folder that holds only an adapter (its base model is then found
            through `adapter_config.json`).
        dtype: "auto" keeps the checkpoint's own.
        device: the first GPU where there is one, else the CPU, by default.
        adapter: a PEFT adapter folder to put on top.

    Raises:
        InputError: no such folder or Hub id, no model in it, no processor in it.

    Example:
        from sightline import load_vlm

        vlm = load_vlm("sft", device="cpu")
        print(vlm.name, vlm.model.num_parameters())
    """
    declare_torchvision_operators()
    base = Base(os.path.expanduser(name_or_path))
    adapter = os.path.expanduser(adapter) if adapter is not None else None
    if adapter is not None:
        _check_folder(adapter, SETTINGS, "Expected an adapter folder as PEFT writes it")
        require_no_adapter(base.name, adapter)
    elif is_adapter(base.name):
        base, adapter = base_of_adapter(base.name), base.name
    model, processor = load_model(base, dtype), load_processor(base, adapter)
    require_image_token(base.name, model.config, processor)
    require_feature_layers(base.name, model.config)
    require_padding(base.name, processor)
    require_picture_settings(base.name, processor)
    require_embedded(base.name, model.config, processor)
    if adapter is not None:
        model = load_adapter(model, adapter)
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = base.name if adapter is None else f"{base.name} + {adapter}"
    return LoadedVlm(model.to(target).eval(), processor, name, adapted=adapter is not None)


def load_model(base: Base, dtype: str | torch.dtype) -> PreTrainedModel:
    """The model of a folder or Hub id, on the CPU.

    Raises:
        InputError: there is none, or it cannot be loaded.
    """
    from transformers import AutoModelForImageTextToText

    folder = base.name
    _check_folder(folder, "config.json", "Expected a model folder as `save_pretrained` or `sightline build` writes it")
    if Path(folder).is_dir():
        require_whole(folder)
    patched_config(folder, base.revision)
    with reading(folder, "The model"):
        return load_pretrained(AutoModelForImageTextToText, folder, {"dtype": dtype, "revision": base.revision})


def load_processor(base: Base, adapter: str | None) -> ProcessorMixin:
    """The processor that an adapter was saved with, else that of its base.

    Raises:
        InputError: there is none for images and text, or it cannot be loaded.
    """
    from transformers import AutoProcessor, ProcessorMixin

    source = processor_source(base, adapter)
    folder, revision = source.name, source.revision
    reason: Any = "the folder has a tokenizer only"
    try:
        processor = load_pretrained(AutoProcessor, folder, {"revision": revision})
    except (ImportError, InputError):  # a package that its class needs; code or a pickle, which is told already
        raise
    except Exception as error:  # transformers checks little of what it reads
        processor, reason = None, why_unreadable(folder, error)
    if isinstance(processor, ProcessorMixin):
        require_whole_characters(folder, processor)
        return processor
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
