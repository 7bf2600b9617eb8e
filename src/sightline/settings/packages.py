"""Packages that a setting needs and that are not installed, told before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from sightline.errors import ConfigError

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
