"""Old names of settings and arguments (2024) of TRL and transformers, and what replaced them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.secrets import HIDDEN

RENAMED = {
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "no_cuda": "use_cpu",
    "warmup_ratio": "warmup_steps",  # below 1 it is a share of all steps
    "push_to_hub_token": "hub_token",
    "push_to_hub_model_id": "hub_model_id",
    "use_liger": "use_liger_kernel",
}
ARGUMENTS_RENAMED = {"tokenizer": "processing_class"}


@dataclass(frozen=True)
class Ended:
    """A setting that TRL 1.16 has no more.

    Attributes:
        says: what stands for it today.
        idle: values that changed nothing, which arguments saved by older versions hold; they pass without a word.
        refused: whether other values are refused, since the run would not be what was asked for.
    """

    says: str
    idle: tuple[Any, ...] = ()
    refused: bool = True


_KEPT_WHOLE = "prompts are kept whole, and max_length with length_policy says what becomes of a row that is too long"
_NOTHING = "it changes nothing and can be left out"
_IN_ACCELERATOR = "accelerator_config has it"
ENDED = {
    "max_prompt_length": Ended(_KEPT_WHOLE, refused=False),
    "max_target_length": Ended(_KEPT_WHOLE, refused=False),
    "max_completion_length": Ended(_KEPT_WHOLE, refused=False),
    "dataset_batch_size": Ended(_NOTHING, (1000,), refused=False),
    "num_of_sequences": Ended(_NOTHING, (1024,), refused=False),
    "chars_per_token": Ended(_NOTHING, (3.6,), refused=False),
    "infinite": Ended("max_steps bounds a run", (False,), refused=False),
    "overwrite_output_dir": Ended(_NOTHING, (False,), refused=False),
    "save_safetensors": Ended("weights are saved as safetensors", (True,)),
    "logging_dir": Ended("the variable TENSORBOARD_LOGGING_DIR names the folder", refused=False),
    "fp16_backend": Ended("set bf16 or fp16 alone", ("auto",)),
    "half_precision_backend": Ended("set bf16 or fp16 alone", ("auto",)),
    "fp16_opt_level": Ended("set bf16 or fp16 alone", ("O1",)),
    "group_by_length": Ended("set train_sampling_strategy to group_by_length", (False,)),
    "include_inputs_for_metrics": Ended("set include_for_metrics to [inputs]", (False,)),
    "include_tokens_per_second": Ended("set include_num_input_tokens_seen", (False,), refused=False),
    "dispatch_batches": Ended(_IN_ACCELERATOR),
    "split_batches": Ended(_IN_ACCELERATOR, (False,)),
    "use_mps_device": Ended("the device is found", (False, True)),
    "use_ipex": Ended(_NOTHING, (False,)),
    "jit_mode_eval": Ended(_NOTHING, (False,)),
    "past_index": Ended(_NOTHING, (-1,)),
    "tpu_num_cores": Ended(_NOTHING),
    "tpu_metrics_debug": Ended(_NOTHING, (False,)),
    "mp_parameters": Ended(_NOTHING, ("",)),
    "ray_scope": Ended(_NOTHING, ("last",)),
    "torchdynamo": Ended("set torch_compile_backend"),
    "fsdp_min_num_params": Ended("fsdp_config has min_num_params", (0,)),
    "fsdp_transformer_layer_cls_to_wrap": Ended("fsdp_config has transformer_layer_cls_to_wrap"),
    "model_init": Ended("pass the model itself, or its name with model_init_kwargs"),
    "label_pad_token_id": Ended("labels that do not count are -100", (-100,)),
    "padding_value": Ended("set pad_token"),
    "is_encoder_decoder": Ended("models are decoders", (False,)),
    "model_adapter_name": Ended("the adapter in use is trained; pass a peft_config, or a PeftModel", ("default",)),
    "ref_adapter_name": Ended("pass a PeftModel, whose adapter is the reference as it was", ("ref",)),
    "ref_model_init_kwargs": Ended("pass the ref_model that was loaded with them"),
    "force_use_ref_model": Ended("a ref_model that is passed is used", (False, True)),
    "generate_during_eval": Ended("eval_tasks answers questions at each evaluation", (False,)),
    "reference_free": Ended("each loss_type of TRL 1.16 has a reference; a ref_model may be any", (False,)),
    "rpo_alpha": Ended("set loss_type to [sigmoid, sft] with loss_weights [1.0, ALPHA]"),
    "use_num_logits_to_keep": Ended(_NOTHING, (False, True)),
    "use_logits_to_keep": Ended(_NOTHING, (False, True)),
    "use_liger_loss": Ended("losses are computed in chunks already", (False,), refused=False),
    "base_model_attribute_name": Ended(_NOTHING, ("model",)),
}


@dataclass(frozen=True)
class Todays:
    """Settings under today's names.

    Attributes:
        settings: what was given, renamed; what has ended is not among it.
        lines: what to tell whoever wrote the old names.
    """

    settings: dict[str, Any]
    lines: tuple[str, ...] = ()


def todays_settings(given: Mapping[str, Any], known: Collection[str], where: str = "") -> Todays:
    """What was given, under names that are `known`; names that are neither known nor old stay as they are.

    Raises:
        ConfigError: an old name has no equivalent, or stands beside today's with another value.
    """
    settings = {name: value for name, value in given.items() if name in known and not _is_hidden(name, value)}
    hidden = [name for name in given if name in known and name not in settings]
    lines = [f"{', '.join(hidden)}: saved arguments hide what they were, so that none is set"] if hidden else []
    start = f"{where}: " if where else ""
    for name, value in given.items():
        if name in known:
            continue
        today, ended = RENAMED.get(name), ENDED.get(name)
        if today in known:
            _take(settings, name, str(today), value, start)
            lines += [f"{name} is {today} today"] * (value is not None)
        elif ended is None:
            settings[name] = value
        elif value is not None and str(value).lower() not in [str(one).lower() for one in ended.idle]:
            if ended.refused:
                raise ConfigError(f"{start}{name}: TRL 1.16 has no such setting; got {value!r}. Today {ended.says}.")
            lines.append(f"{name} is no setting today: {ended.says}")
    return Todays(settings, tuple(lines))


def say_todays(lines: Collection[str]) -> None:
    """The lines on stderr, each once in a process."""
    new = [line for line in dict.fromkeys(lines) if line not in _SAID]
    _SAID.update(new)
    if new:
        say(f"Spelling: {'; '.join(new)}.")


_SAID: set[str] = set()


def takes_old_spellings(config_class: type) -> type:
    """A config whose `__init__` also takes what its settings were called in 2024; one line names today's."""
    known = {field.name for field in fields(config_class) if field.init}
    fill: Callable[..., None] = config_class.__init__  # type: ignore[misc]

    @functools.wraps(fill)
    def __init__(self: Any, *positional: Any, **named: Any) -> None:
        todays = todays_settings(named, known, type(self).__name__)
        fill(self, *positional, **todays.settings)
        say_todays(todays.lines)

    config_class.__init__ = __init__  # type: ignore[misc]
    return config_class


def _is_hidden(name: str, value: Any) -> bool:
    """Whether a value is what `to_dict` of transformers (5.23) writes in place of every setting named like a token, or
    what ours writes in the place of a secret."""
    return value == HIDDEN or (name.endswith("_token") and value == f"<{name.upper()}>")


def _take(settings: dict[str, Any], name: str, today: str, value: Any, start: str) -> None:
    if value is None:
        return
    if settings.get(today, value) != value:
        raise ConfigError(
            f"{start}{name}: expected one value, since it is {today} today; got {value!r}, and {settings[today]!r} for "
            f"{today}. Drop {name}."
        )
    settings[today] = value
