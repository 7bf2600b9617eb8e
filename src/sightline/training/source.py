"""The model and processor that a training command starts from: a folder, a Hub id, or a preset built from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, ProcessorMixin

from sightline.errors import ConfigError, InputError
from sightline.models.adapters import is_adapter
from sightline.models.folders import reading, require_image_token, require_readable
from sightline.models.patches import patched_config
from sightline.models.pretrained import load_pretrained
from sightline.training.arguments import TrainingSettings


@dataclass(frozen=True)
class ModelSource:
    """What the trainers take.

    Attributes:
        model: a name that TRL loads, or a model built in memory.
        processor: prepares its inputs.
    """

    model: Any
    processor: ProcessorMixin


def model_source(settings: TrainingSettings) -> ModelSource:
    """The starting point that `model_name_or_path` or `preset` names; model settings go into the training record.

    Raises:
        ConfigError: neither or both are given.
        InputError: there is no such model, or it has no processor.
    """
    name, preset = settings.model.model_name_or_path, settings.script.preset
    if (name is None) == (preset is None):
        raise ConfigError(
            "model_name_or_path: expected a model folder, a Hub id, or a preset by --preset instead; "
            f"got {'neither' if name is None else 'both'}."
        )
    if preset is not None:
        return _built(preset, settings)
    assert name is not None
    settings.training.model_init_kwargs = {
        "revision": settings.model.model_revision,
        "attn_implementation": settings.model.attn_implementation,
        "dtype": settings.model.dtype,
        **(settings.training.model_init_kwargs or {}),
    }
    return ModelSource(name, _processor(name, settings))


def _built(preset: str, settings: TrainingSettings) -> ModelSource:
    from sightline.models.build import build_vlm, preset_spec

    built = build_vlm(preset_spec(preset), settings.training.seed)
    return ModelSource(built.model, built.processor)


def _processor(name: str, settings: TrainingSettings) -> ProcessorMixin:
    path = Path(name)
    if (path.is_absolute() or name.startswith(".")) and not path.is_dir():
        raise InputError(f"There is no model folder {name}. Name one that `save_pretrained` wrote, or a Hub id.")
    if is_adapter(name):
        raise InputError(
            f"{name} holds an adapter, and training starts from a model. Merge the two first: load_vlm('{name}') of "
            "sightline.models.load checks that it fits; `.model.merge_and_unload().save_pretrained(FOLDER)` and "
            "`.processor.save_pretrained(FOLDER)` write the folder to start from."
        )
    require_readable(name, settings.model.model_revision)
    config = patched_config(name, settings.model.model_revision)
    with reading(name, "The processor of"):
        processor = load_pretrained(AutoProcessor, name, {"revision": settings.model.model_revision})
    if not isinstance(processor, ProcessorMixin):
        raise InputError(f"{name} has a tokenizer but no processor for images. Use a vision-language model's folder.")
    require_image_token(name, config, processor)
    return processor
