"""Name the modules of a model, count what each trains, and check that gradients arrive."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from sightline.engine.feature_store import decoder_parts
from sightline.models.adapters import base_model

TOWER, PROJECTOR, DECODER = "vision tower", "projector", "decoder"
EMBEDDINGS, HEAD, ADAPTERS = "embeddings", "lm_head", "adapters"
TIED = "embeddings (tied with lm_head)"
PROJECTOR_WORDS = (
    "project",
    "connector",
    "merger",
    "aligner",
    "qformer",
    "language_projection",
    "adapter",
    "embed_tokens",
)


@dataclass(frozen=True)
class ModuleReport:
    """A module of the model.

    Attributes:
        parameters: how many numbers it holds.
        trainable: how many of them train.
        gradient: norm of their gradient after one step, not clipped; None where nothing trains or no step was made.
        unreached: parts of it that train but get no gradient, by name.
    """

    name: str
    parameters: int
    trainable: int
    gradient: float | None = None
    unreached: tuple[str, ...] = ()

    @property
    def dead(self) -> bool:
        """Whether it trains, and nothing of it gets a gradient."""
        return self.gradient == 0.0


def group_parameters(model: Any) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """The parameters of a model by module; under PEFT everything that trains is an adapter."""
    base = base_model(model)
    embedding, head = base.get_input_embeddings(), base.get_output_embeddings()
    in_embedding = {id(parameter) for parameter in embedding.parameters()}
    in_head = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    in_decoder = {id(one) for part in decoder_parts(base) or [base.get_decoder()] for one in part.parameters()}
    groups: dict[str, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in base.named_parameters():
        if isinstance(model, PeftModel) and parameter.requires_grad:
            group = ADAPTERS
        elif id(parameter) in in_embedding:
            group = TIED if id(parameter) in in_head else EMBEDDINGS
        elif id(parameter) in in_head:
            group = HEAD
        elif id(parameter) in in_decoder:
            group = DECODER
        else:
            group = PROJECTOR if any(word in name for word in PROJECTOR_WORDS) else TOWER
        groups.setdefault(group, []).append((name, parameter))
    return groups


def report_modules(model: Any, with_gradients: bool) -> tuple[ModuleReport, ...]:
    """Each module; `with_gradients` where a backward pass has just been made."""
    base = base_model(model)
    reports = []
    for name, parameters in group_parameters(model).items():
        training = [(each, parameter) for each, parameter in parameters if parameter.requires_grad]
        trainable = sum(parameter.numel() for _, parameter in training)
        gradient, unreached = None, tuple[str, ...]()
        if with_gradients and training:
            gradient = math.sqrt(sum(_squared_norm(parameter) for _, parameter in training))
            unreached = tuple(_unreached_parts(base, training)) if gradient else ()
        reports.append(ModuleReport(name, sum(one.numel() for _, one in parameters), trainable, gradient, unreached))
    return tuple(reports)


def _squared_norm(parameter: nn.Parameter) -> float:
    return 0.0 if parameter.grad is None else float(parameter.grad.double().square().sum())


def _unreached_parts(base: nn.Module, training: list[tuple[str, nn.Parameter]]) -> Iterator[str]:
    """The largest modules whose training parameters all go without a gradient.

    The first of a pair of adapter matrices has none as long as the second is zero, as it is at the start.
    """
    dead = {name for name, parameter in training if not _squared_norm(parameter) and ".lora_A." not in name}
    alive = [name for name, parameter in training if name not in dead]
    if not dead or all(".lora_A." in name for name in dead):
        return
    seen: list[str] = []
    for module, _ in base.named_modules():
        if not module or any(module.startswith(f"{above}.") for above in seen):
            continue
        inside = [name for name in dead if name.startswith(f"{module}.")]
        if inside and not any(name.startswith(f"{module}.") for name in alive):
            seen.append(module)
            yield module
    yield from sorted(name for name in dead if not any(name.startswith(f"{above}.") for above in seen))


def count_bytes(tensors: Iterator[torch.Tensor]) -> int:
    """Bytes of the distinct storages behind tensors."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
