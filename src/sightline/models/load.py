"""Load a VLM and its processor from a Hugging Face folder, a Hub id or an adapter folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sightline.errors import InputError
from sightline.models.patches import patched_config
from sightline.models.torchvision_schemas import declare_torchvision_operators

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass(frozen=True)
class LoadedVlm:
    """A model in evaluation mode with the processor that prepares its inputs.

    Attributes:
        name: the folder or Hub id it came from, with the adapter where there is one, for messages and records.
    """

    model: PreTrainedModel
    processor: ProcessorMixin
    name: str


def load_vlm(
    name_or_path: str | Path,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device | None = None,
    adapter: str | Path | None = None,
) -> LoadedVlm:
    """The model on `device` in evaluation mode, and its processor; code from the folder is never run.

    Args:
        name_or_path: a folder, a Hub id, or a folder that holds only an adapter (its base model is then found
            through `adapter_config.json`).
        dtype: "auto" keeps the checkpoint's own.
        device: the first GPU where there is one, else the CPU, by default.
        adapter: a PEFT adapter folder to put on top.

    Raises:
        InputError: no such folder or Hub id, no model in it, no processor in it.
    """
    declare_torchvision_operators()
    folder = str(Path(name_or_path).expanduser())
    if adapter is None and _is_adapter(folder):
        folder, adapter = _base_of_adapter(folder), folder
    model = _load_model(folder, dtype)
    processor = _load_processor(folder, adapter)
    if adapter is not None:
        model = _load_adapter(model, str(adapter))
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = folder if adapter is None else f"{folder} + {adapter}"
    return LoadedVlm(model.to(target).eval(), processor, name)


def _is_adapter(folder: str) -> bool:
    return Path(folder, "adapter_config.json").is_file() and not Path(folder, "config.json").is_file()


def _base_of_adapter(folder: str) -> str:
    base = json.loads(Path(folder, "adapter_config.json").read_text()).get("base_model_name_or_path")
    if not base:
        raise InputError(
            f"{folder} holds an adapter that does not name its base model. "
            "Pass the base model's folder as the model and this folder as the adapter."
        )
    return str(base)


def _load_model(folder: str, dtype: str | torch.dtype) -> PreTrainedModel:
    from transformers import AutoModelForImageTextToText

    _check_folder(folder, "config.json", "Expected a model folder as `save_pretrained` or `sightline build` writes it")
    patched_config(folder)
    try:
        return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError) as error:
        raise InputError(f"The model {folder} could not be loaded: {error}") from error


def _load_processor(folder: str, adapter: str | Path | None) -> ProcessorMixin:
    from transformers import AutoProcessor, ProcessorMixin

    source = str(adapter) if adapter is not None and _holds_processor(str(adapter)) else folder
    reason: Any = "the folder has a tokenizer only"
    try:
        processor = AutoProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        processor, reason = None, error
    if isinstance(processor, ProcessorMixin):
        return processor
    raise InputError(
        f"{source} has no processor that prepares images and text ({reason}). Copy it from the base model: "
        f'`AutoProcessor.from_pretrained(BASE).save_pretrained("{source}")`.'
    )


def _holds_processor(folder: str) -> bool:
    return any(Path(folder, name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))


def _load_adapter(model: PreTrainedModel, adapter: str) -> Any:
    from peft import PeftModel

    _check_folder(adapter, "adapter_config.json", "Expected an adapter folder as PEFT writes it")
    try:
        return PeftModel.from_pretrained(model, adapter)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"The adapter {adapter} does not fit this model: {error}") from error


def _check_folder(folder: str, needed: str, expected: str) -> None:
    """Raise for a path that is missing or is no such folder; a name like `owner/model` is left to the Hub."""
    path = Path(folder)
    if path.is_dir() and not (path / needed).is_file():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{folder} has no {needed}. {expected}; the folder holds {found}.")
    looks_like_path = folder.startswith((".", "/")) or folder.count("/") > 1 or path.is_file()
    if looks_like_path and not path.is_dir():
        raise InputError(f"There is no folder {folder}. {expected}, or a Hub id such as `owner/name`.")
