"""Merge an adapter into its base: an ordinary model folder that gives the same answers."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.encoding.prompts import check_template, option_ids, render_prompt
from sightline.data.pictures.images import opened
from sightline.data.sources.new_file import new_folder, require_new
from sightline.disks import told_disk
from sightline.errors import ConfigError, InputError, MachineError, SightlineError
from sightline.models.adapter_folders import (
    SETTINGS,
    Base,
    base_of_adapter,
    chosen_adapter,
    local_adapter,
    require_no_adapter,
)
from sightline.models.adapters import kind_of_adapter, load_adapter
from sightline.models.folders import damaged_file, require_settings
from sightline.models.generate import plain_logits
from sightline.models.load import LoadedVlm, load_model, load_processor
from sightline.models.merged_folder import Origin, WrittenModel, require_same_weights, write_card, write_model
from sightline.models.patches import patched_config
from sightline.settings.loading import LoadingOptions
from sightline.types import Question

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SIZE = re.compile(r"[1-9]\d*(\.\d+)?(B|KB|MB|GB|TB)")
CONDITIONAL = ("XLORA", "POLY", "SHADOW")  # what they add depends on the input, so that it is no change of weights
TOLERANCE = 1e-4  # of the largest logit: float32 leaves 1e-7 to 1e-5 of one sum in place of two


@dataclass(frozen=True)
class MergeSettings:
    """What to merge.

    Attributes:
        adapter: a folder or a Hub id; `name` names one of several in it.
        out: a new folder.
        base: the model to fold it into; None for the one that the adapter names.
        dtype: of the weights that are written; "auto" for that of each weight of the base.
        max_shard_size: as `5GB`; None for as many shards as the base has.
    """

    adapter: str
    out: Path
    base: str | None = None
    name: str | None = None
    dtype: str = "auto"
    max_shard_size: str | None = None


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Attributes:
        layers: modules of the model that the adapter changed.
        difference: the largest of a logit between base with adapter and what they became, both in float32, as a share
            of the largest logit; None where `unchecked` says why it was not measured.
    """

    origin: Origin
    layers: int
    difference: float | None
    unchecked: str
    folder: WrittenModel

    @property
    def summary(self) -> str:
        """One line for the user."""
        checked = f"not compared with base and adapter, since {self.unchecked}"
        if self.difference is not None:
            checked = f"for a picture and a question it has the logits of base and adapter within {self.difference:.0e}"
        files = f"{self.folder.shards} file{'s' * (self.folder.shards > 1)}"
        return (
            f"{self.origin.kind} {self.origin.adapter} merged into {self.origin.base.name}: {self.layers} layers, "
            f"{self.folder.dtype}, {files}; {checked}."
        )


def merge_adapter(settings: MergeSettings) -> Merged:
    """Write the model that base and adapter are together, with its processor and a card.

    All is added up in float32 and then brought to the precision of the base, so that each weight is rounded once. What
    is written is read again, and compared, before it gets its name.

    Raises:
        InputError: there is no such adapter, its base is not here or another, or it cannot be merged.
        RunFolderError: `out` holds something already.
        MachineError: the disk is full.
    """
    _check(settings)
    adapter = chosen_adapter(local_adapter(settings.adapter), settings.name)
    base = base_of_adapter(adapter) if settings.base is None else Base(settings.base)
    require_no_adapter(base.name, adapter)
    _require_outside(settings.out, adapter, base.name)
    origin = Origin(base, adapter, kind_of_adapter(adapter))
    _require_mergeable(origin)
    _require_full_precision(base)
    model = load_model(base, LoadingOptions(device="cpu"))
    dtypes = {name: DTYPES.get(settings.dtype, value.dtype) for name, value in model.state_dict().items()}
    processor = load_processor(base, adapter, LoadingOptions())
    adapted = load_adapter(model.float(), adapter).eval()
    tied = untie_adapted(adapted)
    layers = _adapted_layers(adapted)
    asked = probe(LoadedVlm(adapted, processor, origin.name, adapted=True))
    merged = _merge(adapted, origin)
    difference = _compare(asked, probe(LoadedVlm(merged, processor, origin.name)), origin)
    tie_again(merged, tied)
    _round(merged, dtypes)
    with _told(settings.out), new_folder(settings.out) as staging:
        folder = write_model(staging, merged, processor, origin, settings.max_shard_size)
        write_card(staging, settings.out.name, origin)
        require_same_weights(staging, merged)
    return Merged(origin, layers, difference, asked.reason, folder)


def _check(settings: MergeSettings) -> None:
    if settings.dtype != "auto" and settings.dtype not in DTYPES:
        raise ConfigError(f"dtype: expected auto, {', '.join(DTYPES)}; got '{settings.dtype}'.")
    if settings.max_shard_size is not None and not SIZE.fullmatch(settings.max_shard_size):
        raise ConfigError(f"max_shard_size: expected a size such as 5GB or 500MB; got '{settings.max_shard_size}'.")
    require_new(settings.out)


def _require_outside(out: Path, adapter: str, base: str) -> None:
    for what, folder in (("the adapter", adapter), ("its base", base)):
        if Path(folder).is_dir() and Path(folder).resolve() in (out.resolve(), *out.resolve().parents):
            raise ConfigError(f"OUT: {out} lies in the folder of {what}, {folder}. Choose one outside.")


def _require_mergeable(origin: Origin) -> None:
    """Raises InputError for an adapter that is no change of weights."""
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    settings = require_settings(Path(origin.adapter, SETTINGS))
    tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(origin.kind)
    kind = origin.kind
    if settings.get("alora_invocation_tokens"):
        kind = "activated LoRA (alora_invocation_tokens)"
    elif hasattr(tuner, "merge_and_unload") and kind not in CONDITIONAL:
        damaged = damaged_file(origin.adapter)
        if damaged:
            raise InputError(f"The adapter {origin.adapter} could not be loaded: {damaged} Copy the folder again.")
        return
    raise InputError(
        f"{origin.adapter} holds a {kind} adapter, which acts beside the model's weights and cannot be merged into "
        f"them. Use it as it is: `--adapter {origin.adapter}` in ask and eval."
    )


def _require_full_precision(base: Base) -> None:
    config = patched_config(base.name, base.revision)
    quantized = getattr(config, "quantization_config", None)
    if quantized:
        settings = quantized if isinstance(quantized, dict) else quantized.to_dict()
        bits = next((f", {width} bits" for width in (4, 8) if settings.get(f"load_in_{width}bit")), "")
        raise InputError(
            f"The base {base.name} is quantized ({settings.get('quant_method', 'unknown')}{bits}): what is merged "
            "would be rounded to its few values. Name the model in full precision by --base, and quantize what comes "
            "out of it."
        )


def _adapted_layers(adapted: Any) -> int:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return sum(isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper) for module in adapted.modules())


def _merge(adapted: Any, origin: Origin) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Model with `tie_word_embeddings=True`|Input and output embeddings are")
            return adapted.merge_and_unload(safe_merge=True)
    except (NotImplementedError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise InputError(
            f"PEFT cannot merge the {origin.kind} adapter {origin.adapter}: {reason}. Use it as it is: "
            f"`--adapter {origin.adapter}` in ask and eval."
        ) from error


def _compare(one: Probed, other: Probed, origin: Origin) -> float | None:
    """The largest difference of a logit, as a share of the largest one; None where there is none.

    Raises:
        InputError: it is more than rounding.
    """
    difference = largest_difference(one, other)
    if difference is not None and not difference <= TOLERANCE:
        raise InputError(
            f"The {origin.kind} adapter {origin.adapter} cannot be merged into {origin.base.name}: the logits of what "
            f"comes out differ from those of base and adapter by {difference:.1e} of the largest, where rounding "
            f"leaves less than {TOLERANCE:.0e}. Nothing was written; use it as it is."
        )
    return difference


def _round(model: Any, dtypes: dict[str, torch.dtype]) -> None:
    """Brings each weight to its own precision.

    Raises:
        InputError: one is too large for it.
    """
    default = next(iter(dtypes.values()))
    for name, value in itertools.chain(model.named_parameters(), model.named_buffers()):
        if value.is_floating_point():
            dtype = dtypes.get(name, default if isinstance(value, torch.nn.Parameter) else value.dtype)
            value.data = value.data.to(dtype)
            if not torch.isfinite(value.data).all():
                raise InputError(f"{name} holds values that are not finite in {dtype}. Choose --dtype float32.")


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """What means a full disk, as one line."""
    try:
        yield
    except SightlineError:
        raise
    except Exception as error:  # safetensors raises its own
        full = told_disk(error)
        if not full:
            raise
        raise MachineError(f"{out} could not be written: {full}") from error


def untie_adapted(adapted: Any) -> tuple[Any, ...]:
    """Gives the output embeddings a weight of their own, and returns the configs that say there is one; none where
    there are two already.

    PEFT (0.21) adds to the shared weight: an adapter on the input embeddings would then act on the output as well.
    """
    model = adapted.get_base_model()
    tables = [_table(layer) for layer in _embeddings(model)]
    if len(tables) < 2 or tables[0].weight is not tables[1].weight:
        return ()
    tables[1].weight = torch.nn.Parameter(tables[1].weight.detach().clone(), requires_grad=False)
    parts = (getattr(model.config, name, None) for name in model.config.sub_configs)
    return tuple(config for config in (model.config, *parts) if getattr(config, "tie_word_embeddings", False))


def tie_again(model: Any, configs: tuple[Any, ...]) -> None:
    """One weight for both where they are equal; else the configs say that there are two."""
    if not configs:
        return
    one, other = _embeddings(model)
    equal = torch.equal(one.weight, other.weight)
    if equal:
        other.weight = one.weight
    for config in configs:
        config.tie_word_embeddings = equal
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _embeddings(model: Any) -> list[Any]:
    found = (model.get_input_embeddings(), model.get_output_embeddings())
    return [layer for layer in found if layer is not None]


def _table(layer: Any) -> Any:
    """The model's own layer beneath what PEFT put around it."""
    while True:
        inner = getattr(layer, "base_layer", None) or getattr(layer, "original_module", None)
        if inner is None:
            return layer
        layer = inner


# Dims: T tokens, V vocabulary.


SIDE = 224
ANSWER = "The picture shows a red circle, two trees and the word 7."


@dataclass(frozen=True)
class Probed:
    """Logits (T, V), or the reason why there are none."""

    logits_TV: Tensor | None
    reason: str = ""


def probe(loaded: LoadedVlm) -> Probed:
    """What the model says of the picture, at each token of an answer behind the question."""
    question = Question("What is in the picture?", (opened(_picture()),))
    try:
        check_template(loaded.processor, loaded.name)
        prompt = render_prompt(loaded.processor, question)
        ids = option_ids(loaded.processor, ANSWER).tolist()
        with torch.inference_mode():
            return Probed(plain_logits(loaded, prompt, ids).float().cpu())
    except Exception as error:  # a template or a processor that wants something else of a question
        return Probed(None, f"it could not be asked ({type(error).__name__}: {' '.join(str(error).split())[:150]})")


def largest_difference(one: Probed, other: Probed) -> float | None:
    """The largest difference of a logit as a share of the largest logit; None where one of them is missing."""
    if one.logits_TV is None or other.logits_TV is None:
        return None
    return float((one.logits_TV - other.logits_TV).abs().max() / one.logits_TV.abs().max())


def _picture() -> Image.Image:
    """Shades and an edge, the same each time."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    channels = (x * 255 // SIDE, y * 255 // SIDE, np.where((x - 112) ** 2 + (y - 90) ** 2 < 2500, 230, 40))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))
