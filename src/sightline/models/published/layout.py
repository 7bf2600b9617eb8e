"""What a layout is loaded by, and the one way in which all are: config, class, map of names, processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    conversion_mapping,
)
from transformers.core_model_loading import WeightConverter, WeightRenaming

from sightline.errors import InputError
from sightline.models.guarded import load_guarded, quiet_loading
from sightline.models.published.folder import Folder

Conversion: TypeAlias = WeightRenaming | WeightConverter
SHOWN = 3
_REPORTED = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # and refused here, by name
MEND = "Copy the folder again, or name one whose files belong together."


class Beside(Protocol):
    """Weights of a model that lie in a folder of their own."""

    def fill(self, model: Any) -> frozenset[str]:
        """Copy them into the model; gives the names that are filled."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The weights under the names they have in the model."""
        ...


@dataclass(frozen=True)
class Parts:
    """What a layout is loaded by.

    Attributes:
        config: the config of our class, with what the authors left to their code's defaults.
        model: the class, of transformers or of Sightline.
        processor: prepares images and texts as the authors do; takes the settings of `load_pretrained`, `tokenizer`
            among them for folders that carry none.
        conversions: from the stored names to those of the class, in order; empty where they are the same.
        generation: how the authors let it answer; None where their generation_config.json says it all. What
            transformers 5 wrote stays as it is.
        ignored: parts of stored names that the model does not need.
        beside: what fills weights that lie in a folder of their own; None where all are stored.
    """

    config: Callable[[Folder], PreTrainedConfig]
    model: type[PreTrainedModel]
    processor: Callable[[Folder, Mapping[str, Any]], ProcessorMixin]
    conversions: Callable[[Folder], Sequence[Conversion]]
    generation: Callable[[Folder], GenerationConfig] | None = None
    ignored: tuple[str, ...] = ()
    beside: Callable[[Folder], Beside | None] | None = None


def load_published(parts: Parts, kind: Any, folder: Folder, settings: Mapping[str, Any]) -> Any:
    """What `kind.from_pretrained` would give if transformers knew the layout: a config, model, processor or part of it.

    Raises:
        InputError: weights are missing, left over, or of other shapes than the config says; `kind` is something else.
    """
    if kind is AutoConfig:
        return parts.config(folder)
    if kind is AutoProcessor or (isinstance(kind, type) and issubclass(kind, ProcessorMixin)):
        return parts.processor(folder, settings)
    if kind is AutoTokenizer:
        return parts.processor(folder, settings).tokenizer
    if kind is AutoImageProcessor:
        return parts.processor(folder, settings).image_processor
    if kind is GenerationConfig:
        return generation_of(parts, folder)
    if kind in (AutoModelForImageTextToText, AutoModelForCausalLM, parts.model):
        return _load_model(parts, folder, settings)
    raise InputError(f"{folder.name} is a {parts.model.__name__}, but was to be loaded as {kind.__name__}.")


def _load_model(parts: Parts, folder: Folder, settings: Mapping[str, Any]) -> Any:
    asked = {name: value for name, value in settings.items() if name != "output_loading_info"}
    filler = parts.beside(folder) if parts.beside is not None else None
    if filler is not None and asked.get("quantization_config") is not None:
        raise _not_filled(folder, "rounded while they are loaded")
    conversions = list(parts.conversions(folder))
    with registered(parts.model, conversions), quiet_loading():
        model, report = load_guarded(parts.model, folder.name, {"config": parts.config(folder), **asked, **_REPORTED})
    model._weight_conversions = []  # saved in the names of its class, which need no map (transformers 5.23)
    if filler is not None and is_offloaded(getattr(model, "hf_device_map", {})):
        raise _not_filled(folder, "put aside in the memory of the CPU or on the disk")
    report["missing_keys"] = set(report["missing_keys"]) - (filler.fill(model) if filler else set())
    _require_all(parts, folder, report)
    if parts.generation is not None:
        model.generation_config = generation_of(parts, folder)
    return (model, report) if settings.get("output_loading_info") else model


def is_offloaded(devices: Mapping[str, Any]) -> bool:
    """Whether some parts of a model lie elsewhere than where it computes (accelerate's map of its parts)."""
    places = set(map(str, devices.values()))
    return "disk" in places or ("cpu" in places and len(places) > 1)


def _not_filled(folder: Folder, how: str) -> InputError:
    return InputError(
        f"{folder.name} holds no vision tower: its weights come from a folder of its own, and cannot be {how}. Make "
        f"one folder of both: `sightline models convert {folder.name} OUT`, then name OUT."
    )


@contextmanager
def registered(model: type[PreTrainedModel], conversions: list[Conversion]) -> Iterator[None]:
    """While transformers (5.23) loads `model`, it renames and converts stored tensors so; none change nothing."""
    if not conversions:
        yield
        return
    name = model.__name__
    before = conversion_mapping.get_checkpoint_conversion_mapping(name)
    conversion_mapping.register_checkpoint_conversion_mapping(name, conversions, overwrite=True)
    try:
        yield
    finally:
        conversion_mapping.register_checkpoint_conversion_mapping(name, before, overwrite=True)


def generation_of(parts: Parts, folder: Folder) -> GenerationConfig:
    """How the model answers: as the folder says where transformers 5 wrote that, else as the authors' code does."""
    stored = folder.read_settings("generation_config.json")
    if stored and (parts.generation is None or _is_saved_here(stored)):
        return GenerationConfig.from_dict(stored)
    return parts.generation(folder) if parts.generation is not None else GenerationConfig()


def _is_saved_here(stored: Mapping[str, Any]) -> bool:
    """Whether transformers 5 wrote the settings; the authors' are older and leave stops to their code."""
    written = str(stored.get("transformers_version", "0")).partition(".")[0]
    return written.isdecimal() and int(written) >= 5


def _require_all(parts: Parts, folder: Folder, report: Mapping[str, Any]) -> None:
    problems = []
    for what, found in (("are not stored", "missing_keys"), ("are stored beside it", "unexpected_keys")):
        names = sorted(name for name in report[found] if not any(part in name for part in parts.ignored))
        if names:
            problems.append(f"{len(names)} weights {what}: {', '.join(names[:SHOWN])}")
    if report["mismatched_keys"]:
        name, stored, expected = sorted(report["mismatched_keys"])[0]
        problems.append(
            f"{len(report['mismatched_keys'])} weights have other shapes than config.json asks for: {name} has "
            f"{list(stored)}, expected {list(expected)}"
        )
    if problems:
        raise InputError(
            f"{folder.name}: the weights are not those of the {parts.model.__name__} that config.json describes: "
            f"{'; '.join(problems)}. {MEND}"
        )
