"""Store image features on disk, so that a frozen vision tower reads each image once over epochs and runs."""

# Dims: F feature rows of all distinct images, H hidden. S rows and W width of what the projector takes.
from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.engine.features import encode_images
from sightline.engine.fingerprint import is_adapted, model_fingerprint
from sightline.engine.store import TensorStore
from sightline.engine.unchanged import Unchanged
from sightline.types import FamilyFacts

logger = logging.getLogger("sightline")

PROJECTORS = ("multi_modal_projector", "connector")  # transformers' names of what stands between tower and decoder
FEATURES, TOWER = "features", "tower"


@dataclass(frozen=True)
class Storable:
    """What of a model's way from pictures to features never changes in a run.

    Attributes:
        stage: `features`, what the decoder receives; `tower`, what the projector receives, where that one trains.
        reason: why nothing can be stored; empty where something can.
    """

    stage: str = ""
    reason: str = ""


class FeatureStore:
    """Encodes images as `encode_images` does, and takes from disk what it finds there.

    Attributes:
        found: images of batches whose features were stored.
    """

    def __init__(self, store: TensorStore, stage: str, model: Any, processor: Any) -> None:
        self.store = store
        self.found = 0
        self._stage = stage
        self._watch: Unchanged | None = Unchanged(model, _left_out(model, stage), frozen=True, processor=processor)

    def holds(self, thorough: bool = False) -> bool:
        """Whether what is stored is what the model would compute; once it is not, that is said, and stays so."""
        if self._watch is not None:
            reason = self._watch.reason(thorough)
            if reason:
                self._watch = None
                logger.warning(
                    "Stored features are used no more, since %s: images pass the vision tower from here on.", reason
                )
        return self._watch is not None

    def encode(
        self, model: Any, facts: FamilyFacts, image_inputs: dict[str, Any], spans: Sequence[tuple[str, int]]
    ) -> Tensor:
        """Features of all distinct images, (F, H); `spans` are their content keys and numbers of rows."""
        parts = self._read(spans)
        if parts is None:
            table = _encode_stage(model, facts, image_inputs, self._stage)
            parts = list(table.split(_lengths(table, spans)))
            for (key, _), part in zip(spans, parts, strict=True):
                self.store.put(key, part)
        device = model.get_input_embeddings().weight.device
        table = torch.cat(parts).to(device, non_blocking=True)
        return table if self._stage == FEATURES else _project(model, table)

    def _read(self, spans: Sequence[tuple[str, int]]) -> list[Tensor] | None:
        parts: list[Tensor] = []
        for key, _ in spans:
            part = self.store.get(key)
            if part is None:
                return None
            parts.append(part)
        self.found += len(parts)
        return parts


def find_storable(
    model: Any, facts: FamilyFacts, image_inputs: dict[str, Any], spans: Sequence[tuple[str, int]]
) -> Storable:
    """What can be stored of `model` as it is now frozen, tried on a few images."""
    vision = vision_parameters(model)
    projector = _projector(model)
    inside = {id(parameter) for parameter in projector.parameters()} if projector is not None else set()
    training = {id(parameter) for parameter in vision if parameter.requires_grad}
    if not vision:
        return Storable(reason="tower and decoder of this model cannot be told apart")
    if training - inside:
        return Storable(reason="the vision tower trains")
    reason = _unsteady(model)
    if reason:
        return Storable(reason=reason)
    if not training:
        return Storable(FEATURES)
    with torch.no_grad():
        whole_FH = encode_images(model, facts, image_inputs)
        inputs = _projector_inputs(model, facts, image_inputs)
        if any(part.dim() > 3 for part in inputs):
            return Storable(reason="the projector trains, and reads each image as a map of its own size")
        table = torch.cat(inputs)
        if sum(_lengths(table, spans)) == len(table) and torch.equal(_project(model, table), whole_FH):
            return Storable(TOWER)
    return Storable(reason="the projector trains, and what it gives is not yet what the decoder receives")


def stage_fingerprint(model: Any, stage: str) -> str:
    """A hash of all weights and settings that stored tensors of this stage depend on."""
    return model_fingerprint(model, _left_out(model, stage))


def _left_out(model: Any, stage: str) -> list[nn.Module]:
    """The modules that stored tensors of this stage do not depend on."""
    parts = [model.get_output_embeddings(), _projector(model) if stage == TOWER else None]
    return [*(decoder_parts(model) or [model.get_decoder()]), *(part for part in parts if part is not None)]


def measure_image(
    model: Any, facts: FamilyFacts, image_inputs: dict[str, Any], stage: str, context: AbstractContextManager
) -> tuple[float, float]:
    """Seconds to compute and bytes to store all of the given images."""
    with torch.no_grad(), context:
        start = time.perf_counter()
        table = _encode_stage(model, facts, image_inputs, stage)
        size = table.numel() * table.element_size()
        float(table.sum())  # waits for the device
        return time.perf_counter() - start, size


def vision_parameters(model: Any) -> list[nn.Parameter]:
    """The parameters behind the features: all but those of the decoder and the head."""
    decoder = decoder_parts(model)
    if not decoder:
        return []
    rest = {id(parameter) for part in (*decoder, model.get_output_embeddings()) for parameter in part.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in rest]


def decoder_parts(model: Any) -> list[nn.Module]:
    """The modules of the text decoder; empty where they cannot be told from the tower.

    In some models (Qwen-VL) the decoder is no module of its own: its parts stand beside the tower.
    """
    decoder = model.get_decoder()
    if decoder is not model and decoder is not model.base_model:
        return [decoder]
    tower = decoder.get_encoder("image")
    apart = (tower, _projector(model))
    return [] if tower is decoder else [child for child in decoder.children() if child not in apart]


def adapts_vision(model: Any) -> bool:
    """Whether a layer behind the features has an adapter, so that a model whose adapters are off has other features.

    Where tower and decoder cannot be told apart, adapters that train do not count: their features have gradients.
    """
    if not vision_parameters(model):
        adapted = filter(is_adapted, model.modules())
        return any(not any(weight.requires_grad for weight in module.parameters()) for module in adapted)
    inside = {id(module) for part in _left_out(model, FEATURES) for module in part.modules()}
    return any(is_adapted(module) for module in model.modules() if id(module) not in inside)


def dropout_of(module: nn.Module) -> str:
    """The first setting by which a module drops at random in training, with its value; empty where it drops nothing."""
    for setting, value in vars(module).items():
        drops = "drop" in setting or (setting == "p" and isinstance(module, nn.modules.dropout._DropoutNd))
        if drops and isinstance(value, float) and value > 0:
            return f"{setting} {value}"
    return ""


def _encode_stage(model: Any, facts: FamilyFacts, image_inputs: dict[str, Any], stage: str) -> Tensor:
    """What is stored of the images, in one tensor, without gradients."""
    with torch.no_grad():
        if stage == FEATURES:
            return encode_images(model, facts, image_inputs)
        return torch.cat(_projector_inputs(model, facts, image_inputs))


def _projector_inputs(model: Any, facts: FamilyFacts, image_inputs: dict[str, Any]) -> list[Tensor]:
    """What the projector takes of the images, call by call."""
    taken: list[Tensor] = []
    projector = _projector(model)
    assert projector is not None, "the stage tower is only chosen where there is a projector"
    handle = projector.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    try:
        encode_images(model, facts, image_inputs)
    finally:
        handle.remove()
    return taken


def _lengths(table: Tensor, spans: Sequence[tuple[str, int]]) -> list[int]:
    """How many entries of the table's first axis belong to each image; rows divide among images as features do."""
    rows = sum(count for _, count in spans)
    return [count * len(table) // rows for _, count in spans]


def _project(model: Any, table_SW: Tensor) -> Tensor:
    projector = _projector(model)
    assert projector is not None
    features: Tensor = projector(table_SW)
    return features.flatten(0, -2)


def _projector(model: Any) -> nn.Module | None:
    """The module between tower and decoder; looked up on each call, since PEFT replaces it."""
    children = dict(model.base_model.named_children())
    return next((children[name] for name in PROJECTORS if name in children), None)


def _unsteady(model: Any) -> str:
    """Why the vision tower and what follows it give an image other features at another time; empty where they do not.

    Training turns dropout on whatever mode the model is in now, and an adapter is off when it makes the reference.
    """
    inside = {id(module) for part in _left_out(model, FEATURES) for module in part.modules()}
    for name, module in model.named_modules():
        if id(module) in inside:
            continue
        if is_adapted(module):
            return f"the vision tower carries an adapter ({name})"
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            return f"the vision tower norms by batch ({name})"
        if dropping := dropout_of(module):
            return f"the vision tower drops at random ({name} {dropping})"
    config = getattr(model.config, "vision_config", None)
    for setting, value in (config.to_dict() if config is not None else {}).items():
        if "drop" in setting and isinstance(value, float) and value > 0:
            return f"the vision tower drops at random ({setting} {value})"
    return ""
