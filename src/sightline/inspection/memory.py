"""Estimate the peak memory of a training step before it runs.

Activations are counted, not guessed: hooks see each tensor that the backward pass keeps in one forward pass over a
single row, and the count is scaled to the batch, what belongs to pictures by pixels and the rest by tokens. The
backward pass is then replayed on paper: layer by layer, it frees what was kept and leaves gradients.
"""

# Dims: V vocabulary, E scored edges.
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sightline.engine.logprobs import CHUNK_BYTES
from sightline.inspection.modules import HEAD, PROJECTOR, TIED, TOWER, count_bytes, group_parameters
from sightline.models.adapters import base_model
from sightline.training.forest_trainer import ForestTrainer

# Numbers per parameter that an optimizer keeps, by transformers' names; 2 for those that are not here.
STATES = {"sgd": 0.0, "adagrad": 1.0, "rmsprop": 1.0, "lion_32bit": 1.0, "adafactor": 0.0}
LOGIT_COPIES = (
    3  # of a chunk of logits, that the head's backward pass holds besides them: softmax, its gradient, their sum
)
LAYER_COPIES = 3  # of a layer's largest tensor, that its backward pass holds at once: gradients coming in and going out


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training step by part; not all are there at once.

    Attributes:
        weights: of the model, and of a reference model that is loaded.
        gradients: of all that trains.
        optimizer: its states.
        activations: kept for the backward pass, as the run is set.
        activations_with_checkpointing: kept, and recomputed at once, with gradient checkpointing.
        activations_without_checkpointing: kept without.
        logits: of the chunk that is scored at once, with what its backward pass takes.
        features: of the batch's distinct images, as the decoder receives them.
        inputs: the batch itself.
        peak: the most at any moment.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    activations_with_checkpointing: int
    activations_without_checkpointing: int
    logits: int
    features: int
    inputs: int
    peak: int


@dataclass
class _Layer:
    """A layer that checkpointing would run again, in the order of the forward pass.

    Attributes:
        parameters: bytes of its training parameters.
        entry: bytes of its inputs that nothing before it has kept.
        kept: bytes of its tensors.
        largest: bytes of the largest of them.
        of_image: whether it belongs to the vision tower.
    """

    parameters: int
    of_image: bool
    entry: int = 0
    kept: int = 0
    largest: int = 0

    def scaled(self, factor: float) -> _Layer:
        return _Layer(
            self.parameters,
            self.of_image,
            int(self.entry * factor),
            int(self.kept * factor),
            int(self.largest * factor),
        )


@dataclass
class _Kept:
    """What one forward pass kept for its backward pass, bytes; logits are left out."""

    layers: list[_Layer] = field(default_factory=list)
    of_image: int = 0
    of_text: int = 0


def estimate_memory(trainer: ForestTrainer, longest: list[dict[str, Any]]) -> MemoryEstimate:
    """The estimate for a step on the rows `longest`, from a forward pass over the first of them."""
    model = trainer.model
    small, batch = trainer.data_collator(longest[:1]), trainer.data_collator(longest)
    kept = _count_kept(trainer, small)
    vocabulary = base_model(model).get_output_embeddings().weight.shape[0]
    ratios = _text_size(batch) / _text_size(small), _image_size(batch) / max(_image_size(small), 1)
    layers = [layer.scaled(ratios[layer.of_image]) for layer in kept.layers]
    outside = int(kept.of_text * ratios[0] + kept.of_image * ratios[1])
    groups = group_parameters(model)
    gradients = {name: _training_bytes(parameters) for name, parameters in groups.items()}
    models = [model, *filter(None, [getattr(trainer, "ref_model", None)])]
    weights = count_bytes(tensor for one in models for tensor in (*one.parameters(), *one.buffers()))
    chunk, logits = _logit_bytes(batch, vocabulary)
    features = _feature_bytes(model, batch)
    inputs = count_bytes(value for value in batch.values() if isinstance(value, Tensor))
    optimizer = int(
        sum(gradients.values())
        * STATES.get(str(trainer.args.optim.value), 2.0)
        / (4 if "8bit" in trainer.args.optim.value else 1)
    )
    checkpointed = sum(layer.entry for layer in layers) + max((layer.kept for layer in layers), default=0) + outside
    whole = sum(layer.kept for layer in layers) + outside
    replay = _Replay(layers, outside, gradients, logits, chunk, trainer.args.gradient_accumulation_steps > 1)
    lasting = weights + optimizer + inputs + features
    peak = lasting + replay.peak(trainer.args.gradient_checkpointing)
    return MemoryEstimate(
        weights,
        sum(gradients.values()),
        optimizer,
        checkpointed if trainer.args.gradient_checkpointing else whole,
        checkpointed,
        whole,
        logits + LOGIT_COPIES * chunk,
        features,
        inputs,
        peak,
    )


@dataclass(frozen=True)
class _Replay:
    """A backward pass on paper."""

    layers: list[_Layer]
    outside: int
    gradients: dict[str, int]
    logits: int
    chunk: int
    accumulates: bool

    def peak(self, checkpointing: bool) -> int:
        """The most bytes of kept tensors, gradients and working space at any moment."""
        alive = self.outside + self.logits + sum(layer.entry if checkpointing else layer.kept for layer in self.layers)
        total = sum(self.gradients.values())
        made = total if self.accumulates else self.gradients.get(HEAD, 0) + self.gradients.get(TIED, 0)
        moments = [alive + made + LOGIT_COPIES * self.chunk]
        alive -= self.logits
        for layer in reversed(self.layers):
            made += 0 if self.accumulates else layer.parameters
            working = LAYER_COPIES * layer.largest + (layer.kept if checkpointing else 0)
            moments.append(alive + made + working)
            alive -= layer.entry if checkpointing else layer.kept
        moments.append(alive + total)  # the embeddings, and what else stands before the first layer
        return max(moments)


def _count_kept(trainer: ForestTrainer, batch: dict[str, Any]) -> _Kept:
    """What a forward pass over the batch keeps, without gradient checkpointing."""
    model = trainer.model
    model.train()
    enabled = base_model(model).is_gradient_checkpointing
    if enabled:
        model.gradient_checkpointing_disable()
    counter = _Counter(model)
    try:
        with counter.counting(), trainer.accelerator.autocast():
            trainer.compute_loss(model, trainer._prepare_inputs(batch))
    finally:
        if enabled:
            model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    return counter.kept


class _Counter:
    """Counts each storage that autograd keeps once, with the layer or the part that kept it."""

    def __init__(self, model: Any) -> None:
        self.kept = _Kept()
        self._model = model
        self._seen = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._vocabulary = base_model(model).get_output_embeddings().weight.shape[0]
        self._layer: _Layer | None = None
        self._in_vision = 0
        self._alive: list[Tensor] = []  # a storage that were freed could come back under the same address

    @contextmanager
    def counting(self) -> Iterator[None]:
        hooks = [hook for module, enter, leave in self._places() for hook in self._hooked(module, enter, leave)]
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()
            self._alive.clear()

    def _places(self) -> Iterator[tuple[nn.Module, Callable[..., None], Callable[..., None]]]:
        base = base_model(self._model)
        vision = {
            id(parameter)
            for name, group in group_parameters(base).items()
            if name in (TOWER, PROJECTOR)
            for _, parameter in group
        }
        roots: list[str] = []
        for name, module in base.named_modules():
            own = {id(parameter) for parameter in module.parameters()}
            if own and own <= vision and not any(name.startswith(f"{root}.") for root in roots):
                roots.append(name)
                yield module, self._enter_vision, self._leave_vision
            if isinstance(module, GradientCheckpointingLayer):
                yield module, self._enter_layer, self._leave_layer

    def _hooked(self, module: nn.Module, enter: Callable[..., None], leave: Callable[..., None]) -> list[Any]:
        return [module.register_forward_pre_hook(enter, with_kwargs=True), module.register_forward_hook(leave)]

    def _enter_vision(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._in_vision += 1

    def _leave_vision(self, module: nn.Module, args: Any, output: Any) -> None:
        self._in_vision -= 1

    def _enter_layer(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        training = sum(one.numel() * one.element_size() for one in module.parameters() if one.requires_grad)
        self._layer = _Layer(training, bool(self._in_vision))
        hidden = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        if hidden is not None and hidden.requires_grad:
            self._layer.entry = hidden.untyped_storage().nbytes()

    def _leave_layer(self, module: nn.Module, args: Any, output: Any) -> None:
        assert self._layer is not None
        self.kept.layers.append(self._layer)
        self._layer = None

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() in self._seen or tensor.shape[-1:] == (self._vocabulary,):
            return tensor
        self._seen.add(storage.data_ptr())
        self._alive.append(tensor.detach())
        if self._layer is not None:
            self._layer.kept += storage.nbytes()
            self._layer.largest = max(self._layer.largest, storage.nbytes())
        elif self._in_vision:
            self.kept.of_image += storage.nbytes()
        else:
            self.kept.of_text += storage.nbytes()
        return tensor


def _training_bytes(parameters: list[tuple[str, nn.Parameter]]) -> int:
    return sum(one.numel() * one.element_size() for _, one in parameters if one.requires_grad)


def _text_size(batch: dict[str, Any]) -> int:
    """Tokens that the decoder reads, pads counted."""
    return (batch["forest"].ids_RL if "forest" in batch else batch["input_ids"]).numel()


def _image_size(batch: dict[str, Any]) -> int:
    """Numbers that the vision tower reads."""
    pixels = batch.get("pixel_values")
    return pixels.numel() if isinstance(pixels, Tensor) else 0


def _logit_bytes(batch: dict[str, Any], vocabulary: int) -> tuple[int, int]:
    """Bytes of the logits that are made at once, and of those that are kept for the backward pass."""
    if "forest" in batch:
        rows, most = len(batch["forest"].child_E), max(1, CHUNK_BYTES // (4 * vocabulary))
    else:
        rows = most = batch["input_ids"].numel()
    chunk = 4 * vocabulary * min(rows, most)
    return chunk, chunk if rows <= most else 0


def _feature_bytes(model: Any, batch: dict[str, Any]) -> int:
    """Bytes of the features of the batch's distinct images."""
    if "forest" not in batch or not len(batch["forest"].feature_P):
        return 0
    weight = base_model(model).get_input_embeddings().weight
    rows = int(batch["forest"].feature_P.max()) + 1
    return rows * weight.shape[-1] * weight.element_size()
