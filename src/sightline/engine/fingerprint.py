"""What stored tensors depend on, as a short hash: weights, processor settings, precision, versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Collection
from typing import Any

import torch

PIXEL_PACKAGES = ("pillow", "torchvision", "transformers")  # a new version may resize or normalise differently


def fingerprint(*parts: Any) -> str:
    """A short hash of parts that JSON can write, 128 bits, hexadecimal."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def weights_fingerprint(module: Any, left_out: Collection[Any] = (), adapters: Collection[str] = ()) -> str:
    """A hash of the names, types and values of a module's parameters and buffers.

    Args:
        left_out: modules whose tensors do not count.
        adapters: names of PEFT adapters whose tensors do not count. What remains has the names that it has without
            PEFT's wrappers, so that a model and the frozen base of an adapter have one hash.
    """
    skipped = {tensor.data_ptr() for part in left_out for tensor in part.state_dict().values()}
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(_plain_names(module, adapters).items()):
        if tensor.data_ptr() in skipped and tensor.numel():
            continue
        flat = tensor.detach().reshape(-1).contiguous().cpu()
        digest.update(f"{name} {flat.dtype} {tuple(tensor.shape)}".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def processor_fingerprint(processor: Any) -> str:
    """A hash of what turns a picture into tensors: the image processor, its settings and backend, package versions."""
    images = processor.image_processor
    versions = {name: importlib.metadata.version(name) for name in PIXEL_PACKAGES}
    return fingerprint(type(images).__qualname__, images.to_dict(), versions)


def _plain_names(module: Any, adapters: Collection[str]) -> dict[str, torch.Tensor]:
    names = {}
    for name, tensor in module.state_dict().items():
        if any(adapter in name.split(".") for adapter in adapters):
            continue
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", ".")
        names[plain] = tensor
    return names
