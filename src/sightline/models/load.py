"""Load a VLM and its processor from a Hugging Face folder, a Hub id or an adapter folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sightline.errors import InputError
from sightline.models.adapters import base_of_adapter, is_adapter, load_adapter
from sightline.models.folders import reading, require_image_token, require_whole, why_unreadable
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
    adapter = str(Path(adapter).expanduser()) if adapter is not None else None
    if adapter is None and is_adapter(folder):
        folder, adapter = base_of_adapter(folder), folder
    model = _load_model(folder, dtype)
    processor = _load_processor(folder, adapter)
    require_image_token(folder, model.config, processor)
    if adapter is not None:
        _check_folder(str(adapter), "adapter_config.json", "Expected an adapter folder as PEFT writes it")
        model = load_adapter(model, str(adapter))
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = folder if adapter is None else f"{folder} + {adapter}"
    return LoadedVlm(model.to(target).eval(), processor, name, adapted=adapter is not None)


def _load_model(folder: str, dtype: str | torch.dtype) -> PreTrainedModel:
    from transformers import AutoModelForImageTextToText

    _check_folder(folder, "config.json", "Expected a model folder as `save_pretrained` or `sightline build` writes it")
    if Path(folder).is_dir():
        require_whole(folder)
    patched_config(folder)
    with reading(folder, "The model"):
        return load_pretrained(AutoModelForImageTextToText, folder, {"dtype": dtype})


def _load_processor(folder: str, adapter: str | Path | None) -> ProcessorMixin:
    from transformers import AutoProcessor, ProcessorMixin

    source = str(adapter) if adapter is not None and _holds_processor(str(adapter)) else folder
    reason: Any = "the folder has a tokenizer only"
    try:
        processor = load_pretrained(AutoProcessor, source)
    except (ImportError, InputError):  # a package that its class needs; code or a pickle, which is told already
        raise
    except Exception as error:  # transformers checks little of what it reads
        processor, reason = None, why_unreadable(source, error)
    if isinstance(processor, ProcessorMixin):
        return processor
    raise InputError(
        f"{source} has no processor that prepares images and text ({reason}). Copy it from the base model: "
        f'`AutoProcessor.from_pretrained(BASE).save_pretrained("{source}")`.'
    )


def _holds_processor(folder: str) -> bool:
    return any(Path(folder, name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))


def _check_folder(folder: str, needed: str, expected: str) -> None:
    """Raise for a path that is missing or is no such folder; a name like `owner/model` is left to the Hub."""
    path = Path(folder)
    if path.is_dir() and not (path / needed).is_file():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{folder} has no {needed}. {expected}; the folder holds {found}.")
    looks_like_path = folder.startswith((".", "/")) or folder.count("/") > 1 or path.is_file()
    if looks_like_path and not path.is_dir():
        raise InputError(f"There is no folder {folder}. {expected}, or a Hub id such as `owner/name`.")
