"""Check a training command's settings and packages before TRL, torch, models or rows are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from sightline.errors import ConfigError
from sightline.settings.given import Given, read_given
from sightline.settings.known import is_of_installed, known_kinds, require_tasks
from sightline.settings.places import check_places, require_rows

LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "dataloader_num_workers": 0,
    "dataloader_prefetch_factor": 1,
    "learning_rate": 0,
    "weight_decay": 0,
    "adam_epsilon": 0,
}
BETAS = ("adam_beta1", "adam_beta2")
OUTPUT = "trainer_output"  # transformers' own, where no output_dir is given


def check_early(argv: Sequence[str], *verbs: str, writes: bool = True) -> Mapping[str, Any] | None:
    """The settings where `--config RECIPE --key value ...` can be right; what only the records know is left to them.

    None where they are not known: with other versions of TRL and transformers.

    Args:
        verbs: of sft, dpo and vilt those whose settings are known.
        writes: whether the command will write its output_dir.

    Raises:
        InputError: a name, a value, a place or a package is wrong.
    """
    try:
        given = read_given(argv, known_kinds(*verbs))
    except ConfigError:
        if is_of_installed():
            raise
        return None  # they may know what these do not
    merged: dict[str, Any] = {} if verbs == ("vilt",) else {"output_dir": OUTPUT}
    for part in given:
        merged |= part.settings
    check_places({name: value for name, value in merged.items() if writes or name != "output_dir"})
    _check_mixtures(merged)
    require_tasks(merged.get("eval_tasks") or (), "eval_tasks")
    _check_optim_args(merged.get("optim_args"))
    _check_counts(merged)
    _check_packages(given, merged)
    _see_one_gpu(merged.get("device"))
    return merged


def _see_one_gpu(device: Any) -> None:
    """Lets this process see the GPU `cuda:N` alone: transformers (5.23) trains on all that it sees.

    Only before torch is imported, which counts them once.
    """
    kind, _, number = str(device).partition(":")
    if kind != "cuda" or not number.isdigit() or "torch" in sys.modules:
        return
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [name.strip() for name in seen if name.strip()]
    os.environ["CUDA_VISIBLE_DEVICES"] = (names[int(number)] if int(number) < len(names) else "-1") if names else number


def _check_mixtures(given: Mapping[str, Any]) -> None:
    """The sources of `datasets` and `eval_datasets`, whose other fields their own records check."""
    for name in ("datasets", "eval_datasets"):
        for source in given.get(name) or ():
            path = source.get("path") if isinstance(source, Mapping) else None
            if isinstance(path, str) and "${" not in path and not path.startswith("~"):
                require_rows(path)


def _check_optim_args(given: Any) -> None:
    """What transformers (5.23) splits at commas and equals signs when the optimizer is made."""
    pairs = str(given).replace(" ", "").split(",") if given else []
    if any(pair.count("=") != 1 or pair.startswith("=") for pair in pairs):
        raise ConfigError(f"optim_args: expected key=value, several with commas between them; got {str(given)[:60]!r}.")


def _check_counts(given: Mapping[str, Any]) -> None:
    """Numbers that transformers (5.23) takes as they are, and that torch's loaders and optimizers then fail on."""
    numbers = {name: value for name, value in given.items() if isinstance(value, int | float)}
    for name, least in LEAST.items():
        if name in numbers and not numbers[name] >= least:  # as NaN is not, either
            raise ConfigError(f"{name}: expected {least} or more; got {numbers[name]}.")
    for name in BETAS:
        if name in numbers and not 0 <= numbers[name] < 1:
            raise ConfigError(f"{name}: expected at least 0 and less than 1; got {numbers[name]}.")


def _check_packages(given: Sequence[Given], merged: Mapping[str, Any]) -> None:
    """Each setting that holds in the end, where it was given."""
    for part in given:
        require_packages({name: value for name, value in part.settings.items() if merged[name] == value}, part.where)


# The modules behind a setting's values, one of which must be there; of `optim` and attention by a part of the value.
REPORTERS = {
    name: (name,)
    for name in "wandb tensorboard trackio mlflow swanlab comet_ml clearml neptune dvclive codecarbon".split()
}
OPTIMIZERS = {
    "galore": ("galore_torch",),
    "apollo": ("apollo_torch",),
    "lomo": ("lomo_optim",),
    "grokadamw": ("grokadamw",),
    "schedule_free": ("schedulefree",),
    "stable_adamw": ("optimi",),
    "anyprecision": ("torchdistx",),
    "torch_4bit": ("torchao",),
    "torch_8bit": ("torchao",),
    "torch_xla": ("torch_xla",),
    **dict.fromkeys(("bnb", "8bit", "paged", "lion", "ademamix"), ("bitsandbytes",)),
}
ATTENTIONS = {
    "flash_attention_2": ("flash_attn", "kernels"),
    "flash_attention_3": ("flash_attn_interface", "kernels"),
    "kernels-community": ("kernels",),
}
SWITCHES = {
    "load_in_4bit": ("bitsandbytes",),
    "load_in_8bit": ("bitsandbytes",),
    "use_liger_kernel": ("liger_kernel",),
    "deepspeed": ("deepspeed",),
}
INSTALLED_BY = {
    "bitsandbytes": "'sightline[quantized]'",
    "flash_attn": "flash-attn --no-build-isolation",
    "flash_attn_interface": "kernels",
    "galore_torch": "galore-torch",
    "apollo_torch": "apollo-torch",
    "lomo_optim": "lomo-optim",
    "optimi": "torch-optimi",
    "liger_kernel": "liger-kernel",
}


def require_packages(given: Mapping[str, Any], where: str) -> None:
    """Nothing where each package that the settings need can be imported; `where` starts the message.

    Raises:
        ConfigError: one is not installed; with the setting that needs it, and what to run.
    """
    for name, value, modules in _needed(given):
        if not any(map(find_spec, modules)):
            package = INSTALLED_BY.get(modules[0], modules[0])
            raise ConfigError(
                f"{where}: {name} {value} needs {modules[0]}, which is not installed. Run `pip install {package}`, or "
                f"set {name} to {_other(name)}."
            )


def _other(name: str) -> str:
    others = {"report_to": "none", "optim": "adamw_torch", "attn_implementation": "sdpa", "deepspeed": "null"}
    return others.get(name, "false")


def _needed(given: Mapping[str, Any]) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """(setting, value, modules) of each setting that a package stands behind."""
    reporters = given.get("report_to") or ()
    for reporter in [reporters] if isinstance(reporters, str) else reporters:
        if reporter in REPORTERS:
            yield "report_to", reporter, REPORTERS[reporter]
    for name, table in (("optim", OPTIMIZERS), ("attn_implementation", ATTENTIONS)):
        value = str(given.get(name) or "")
        behind = next((modules for part, modules in table.items() if part in value), None)
        if behind is not None:
            yield name, value, behind
    for name, modules in SWITCHES.items():
        if given.get(name):
            yield name, "true" if given[name] is True else given[name], modules


def require_named(given: Mapping[str, Any]) -> None:
    """Nothing where the settings of sft or dpo name a model and rows. Raises ConfigError where one is missing."""
    require_start(given.get("model_name_or_path"), given.get("preset"))
    if not given.get("datasets"):
        require_dataset(given.get("dataset_name"))


def require_start(model: str | None, preset: str | None) -> None:
    """Nothing where a model or a preset is named. Raises ConfigError where neither is, or both are."""
    if (model is None) == (preset is None):
        raise ConfigError(
            "model_name_or_path: expected a model folder, a Hub id, or a preset by --preset instead; "
            f"got {'neither' if model is None else 'both'}."
        )


def require_dataset(name: str | None) -> None:
    """Nothing where rows are named. Raises ConfigError where they are not."""
    if name is None:
        raise ConfigError("dataset_name: expected a file, a folder or a Hub id; got nothing. Set --dataset_name.")
