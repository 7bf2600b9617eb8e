"""Check cheaply, at each batch, whether parts of a model changed since something was computed with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightline.engine.fingerprint import (
    address,
    plain_parts,
    processor_fingerprint,
    settings_fingerprint,
)

Stamp = tuple[int, int, int]
WORD = 8  # bytes


@dataclass
class _Slot:
    """A parameter, a buffer or a child of a module: where it hangs, what hung there, and its stamp and sums."""

    holder: dict[str, Any]
    key: str
    name: str
    value: Any
    stamp: Stamp | None = None
    sums: tuple[int, int, int] | None = None


class Unchanged:
    """Watches a model without some modules and adapters.

    Asking compares, for each tensor, the object, its address and the version that torch counts up at each change in
    place (about 0.2 microseconds each); only where these moved, sums over the tensor's bits tell whether values did.

    Args:
        left_out: modules that may change.
        adapters: names of PEFT adapters that may change.
        frozen: whether a parameter that begins to train counts as a change.
        processor: of pictures; its settings are watched, too.
    """

    def __init__(
        self,
        model: Any,
        left_out: Collection[Any] = (),
        adapters: Collection[str] = (),
        frozen: bool = False,
        processor: Any = None,
    ) -> None:
        self._model, self._left_out, self._adapters, self._frozen = model, left_out, adapters, frozen
        self._processor = processor
        self._slots = list(_slots(model, {id(part) for whole in left_out for part in whole.modules()}, adapters))
        for slot in self._slots:
            if isinstance(slot.value, Tensor):
                slot.stamp, slot.sums = _stamp(slot.value), _sums(slot.value)
        self._settings = self._read_settings()

    def reason(self, thorough: bool = False) -> str:
        """What changed, in words that go on "since ..."; empty where nothing did.

        `thorough` also looks at settings and at all sums, which see what is written past torch (`parameter.data`).
        """
        for slot in self._slots:
            now = slot.holder.get(slot.key)
            if not isinstance(slot.value, Tensor):
                if now is not slot.value:
                    return f"{slot.name} is another module"
                continue
            if self._frozen and now is not None and now.requires_grad:
                return f"{slot.name} trains"
            if not (thorough or _may_move(now)) and now is slot.value and _stamp(now) == slot.stamp:
                continue
            if now is None or now.shape != slot.value.shape or now.dtype != slot.value.dtype or _sums(now) != slot.sums:
                return f"{slot.name} has other values"
            slot.value, slot.stamp = now, _stamp(now)
        if not thorough:
            return ""
        changed = [name for name, value in self._read_settings().items() if value != self._settings[name]]
        return f"settings of the {' and the '.join(changed)} changed" if changed else ""

    def _read_settings(self) -> dict[str, str]:
        return {
            "model": settings_fingerprint(self._model, self._left_out, self._adapters),
            "processor": processor_fingerprint(self._processor) if self._processor is not None else "",
        }


def _slots(model: Any, left_out: Collection[int], adapters: Collection[str]) -> Iterator[_Slot]:
    for prefix, module in model.named_modules():
        if id(module) in left_out or any(adapter in prefix.split(".") for adapter in adapters):
            continue
        for held in (module._parameters, module._buffers, module._modules):
            for key, value in held.items():
                name = f"{prefix}.{key}".lstrip(".")
                if value is not None and key not in adapters and id(value) not in left_out:
                    yield _Slot(held, key, name, value)


def _may_move(tensor: Tensor | None) -> bool:
    """Whether an optimizer may write to it: fused ones do so without counting a version (torch 2.13)."""
    return tensor is not None and tensor.requires_grad


def _stamp(tensor: Tensor) -> Stamp:
    return address(tensor), tensor._version, tensor.numel()


def _sums(tensor: Tensor) -> tuple[int, int, int]:
    """Sums over the bits, of all, of the first third and of the rest behind whole words: alike on every device."""
    parts = [_sums_of_plain(part) for _, part in plain_parts(tensor)]
    return sum(one[0] for one in parts), sum(one[1] for one in parts), sum(one[2] for one in parts)


def _sums_of_plain(tensor: Tensor) -> tuple[int, int, int]:
    flat = tensor.reshape(-1).contiguous()
    if flat.storage_offset() * flat.element_size() % WORD:
        flat = flat.clone()  # words are read from whole addresses alone
    bytes_N = flat.view(torch.uint8)
    whole = len(bytes_N) // WORD * WORD
    words = bytes_N[:whole].view(torch.int64)  # the type that is added up without being converted
    return int(words.sum()), int(words[: len(words) // 3].sum()), int(bytes_N[whole:].sum())
