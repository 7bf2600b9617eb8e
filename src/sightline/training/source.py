"""Load the model and processor to train: a folder, a Hub id, or a preset built from scratch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import ProcessorMixin

from sightline.errors import ConfigError, InputError
from sightline.models.adapter_folders import Base, base_of_adapter, is_adapter, require_no_adapter
from sightline.models.adapters import kind_of_adapter, load_adapter
from sightline.models.folders import (
    damaged_file,
    reading,
    require_embedded,
    require_feature_layers,
    require_image_token,
    require_padding,
    require_picture_settings,
    require_readable,
    require_whole_characters,
)
from sightline.models.load import processor_source
from sightline.models.patches import patched_config
from sightline.models.processor_settings import fitted_processor, read_processor
from sightline.models.quantization import method_of, quantization_of, require_quantizer, require_unquantized
from sightline.models.room import require_room
from sightline.settings.early import require_start
from sightline.settings.loading import AUTO, PLAIN
from sightline.training.arguments import TrainingSettings
from sightline.training.folder_code import create_model, loaded_by_trl
from sightline.training.references import is_sharded


@dataclass(frozen=True)
class ModelSource:
    """What the trainers take.

    Attributes:
        model: a name that TRL loads, or a model built in memory.
        processor: prepares its inputs.
        adapter: the folder of an adapter of the model that is trained on from where it stands.
        rounding: transformers' settings for 4 or 8 bits; None where weights stay as they are.
        beside: a tokenizer's folder and a file with a chat template, where they were given.
    """

    model: Any
    processor: ProcessorMixin
    adapter: str | None = None
    rounding: Any = None
    beside: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders or Hub ids that weights come from, and what was given beside them."""
        return tuple(name for name in (self.model, self.adapter, *self.beside) if isinstance(name, str))


def model_source(settings: TrainingSettings) -> ModelSource:
    """The starting point that `model_name_or_path` or `preset` names; model settings go into the training record.

    Raises:
        ConfigError: neither or both are given.
        InputError: there is no such model, or it has no processor.
    """
    name, preset = settings.model.model_name_or_path, settings.script.preset
    require_start(name, preset)
    adapter = _adapter(settings)
    if preset is not None:
        return _built(preset, settings)
    assert name is not None
    base = Base(name, settings.model.model_revision)
    if adapter is not None and adapter == name:
        base = base_of_adapter(adapter)
    loading = settings.loading
    settings.training.model_init_kwargs = {
        "revision": base.revision,
        "attn_implementation": loading.attn_implementation,
        "dtype": settings.model.dtype,
        **({"device_map": loading.device_map} if loading.device_map is not None else {}),
        **(settings.training.model_init_kwargs or {}),
    }
    processor = _processor(base, adapter, settings)
    beside = tuple(one for one in (loading.tokenizer, loading.chat_template) if one not in (None, PLAIN))
    return ModelSource(base.name, processor, adapter, _rounding(base, adapter, settings), beside)


def require_room_for(source: ModelSource, settings: TrainingSettings) -> None:
    """Nothing where the weights alone fit where they are trained; what else a step takes, `sightline doctor` tells.

    Raises:
        MachineError: they do not.
    """
    training = settings.training
    if not isinstance(source.model, str) or is_sharded(training):
        return
    init = training.model_init_kwargs
    options = replace(settings.loading, dtype=str(init.get("dtype") or AUTO).removeprefix("torch."))
    # TRL (1.16) spreads the model of a single process over all GPUs.
    is_spread = options.device_map is not None or (training.device.type == "cuda" and training.world_size == 1)
    config = patched_config(source.model, init.get("revision"))
    require_room(source.model, config, options, None if is_spread else str(training.device))


def policy(source: ModelSource, settings: TrainingSettings) -> Any:
    """What TRL's trainers take as their model: its name, or PEFT's wrapper with the adapter that is trained on.

    TRL (1.16) keeps a copy of that adapter as DPO's reference: the model as it was when the run began.

    Raises:
        InputError: the adapter does not fit the model, or cannot be trained on.
    """
    if source.adapter is None:
        return source.model
    training = settings.training
    init = dict(training.model_init_kwargs or {})
    if source.rounding is not None:
        init["quantization_config"] = source.rounding
    if training.distributed_state.distributed_type in ("MULTI_GPU", "DEEPSPEED"):
        init["device_map"] = None  # as TRL loads it
    with loaded_by_trl(source.model):
        model = create_model(source.model, **init)
    training.model_init_kwargs = None  # of a model that is there, TRL warns
    return load_adapter(model, source.adapter, trainable=True)


def _adapter(settings: TrainingSettings) -> str | None:
    """The adapter that the run goes on with; none where it begins one, or trains the model itself.

    Raises:
        ConfigError: it would begin another one upon it, or one upon a model that no folder has.
        InputError: its files are damaged, or its model is none.
    """
    name, given = settings.model.model_name_or_path, settings.script.adapter
    adapter = given or (name if name is not None and is_adapter(name) else None)
    if settings.script.preset is not None and (adapter or settings.model.use_peft):
        raise ConfigError(
            "preset: the model that it builds is in no folder, so that an adapter of it would have no base. Write it "
            f"first: `sightline build FOLDER --preset {settings.script.preset}`, then name FOLDER."
        )
    if adapter is None:
        return None
    if settings.model.use_peft:
        raise ConfigError(
            f"use_peft: {adapter} holds an adapter already. Leave use_peft out to go on training that one; to begin "
            f"another, merge it first: `sightline merge {adapter} FOLDER`, and start from FOLDER."
        )
    if not is_adapter(adapter):
        raise ConfigError(f"adapter: {adapter} has no adapter_config.json. Name an adapter's folder.")
    if given is not None and name is not None:
        require_no_adapter(name, adapter)
    damaged = damaged_file(adapter)
    if damaged:
        raise InputError(f"The adapter {adapter} could not be loaded: {damaged} Copy the folder again.")
    kind_of_adapter(adapter)
    return adapter


def _built(preset: str, settings: TrainingSettings) -> ModelSource:
    from sightline.models.build import build_vlm, preset_spec

    settings.loading.refuse(
        "preset builds a model of its own here, in full precision. Leave it out.",
        but=("model_revision", "dtype", "attn_implementation", "device", "chat_template", "processor"),
    )
    built = build_vlm(preset_spec(preset), settings.training.seed)
    return ModelSource(built.model, fitted_processor(built.processor, settings.loading, preset))


def _rounding(base: Base, adapter: str | None, settings: TrainingSettings) -> Any:
    """transformers' settings for 4 or 8 bits; None where weights stay as they are stored.

    Raises:
        ConfigError: they would be trained, which rounded ones cannot, or are rounded already.
    """
    config = patched_config(base.name, base.revision)
    require_unquantized(base.name, config, settings.loading)
    require_quantizer(base.name, config, str(settings.training.device))
    method = method_of(config)
    if (settings.loading.is_quantizing or method) and adapter is None and not settings.model.use_peft:
        why = f"{base.name} is quantized ({method})" if method else "load_in_4bit, load_in_8bit"
        raise ConfigError(f"{why}: rounded weights cannot be trained. Set use_peft, which trains an adapter upon them.")
    return quantization_of(settings.loading, getattr(config, "dtype", None))


def _processor(base: Base, adapter: str | None, settings: TrainingSettings) -> ProcessorMixin:
    name, revision = base.name, base.revision
    path = Path(name)
    if (path.is_absolute() or name.startswith(".")) and not path.is_dir():
        raise InputError(f"There is no model folder {name}. Name one that `save_pretrained` wrote, or a Hub id.")
    require_readable(name, revision)
    config = patched_config(name, revision)
    source = processor_source(base, adapter)
    with reading(source.name, "The processor of"):
        processor = read_processor(source.name, source.revision, settings.loading)
    if not isinstance(processor, ProcessorMixin):
        raise InputError(
            f"{source.name} has a tokenizer but no processor for images. Use a vision-language model's folder."
        )
    if (
        settings.loading.chat_template is not None
        and getattr(settings.training, "chat_template_path", None) is not None
    ):
        raise ConfigError("chat_template and chat_template_path name two templates. Keep one of them.")
    processor = fitted_processor(processor, settings.loading, source.name)
    require_image_token(source.name, config, processor)
    require_feature_layers(source.name, config)
    require_padding(source.name, processor)
    require_whole_characters(source.name, processor)
    require_picture_settings(source.name, processor)
    require_embedded(source.name, config, processor)
    return processor
