"""Plan the run that a recipe and flags describe, to look at it before it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from sightline.config import check_values
from sightline.data.formats.columns import are_preferences
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset
from sightline.errors import ConfigError
from sightline.settings.given import written_settings
from sightline.training.arguments import ScriptArguments, read_names, read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.plan import DPO, SFT, RunPlan, plan_run
from sightline.training.sft import SFTConfig
from sightline.training.source import model_source

CONFIGS = {SFT: SFTConfig, DPO: DPOConfig}


def plan_recipe(argv: Sequence[str], method: str | None = None) -> RunPlan:
    """The run that `--config RECIPE --key value ...` describes; `method` where neither keys nor columns tell it.

    Its rows are not checked: who asks for the plan looks at them.

    Raises:
        InputError: a setting, the data or the model cannot be used.
    """
    method = method or method_of(argv)
    if method not in CONFIGS:
        raise ConfigError(f"for: expected {SFT} or {DPO}; got '{method}'.")
    settings = read_settings(argv, CONFIGS[method])
    return plan_run(settings, method, model_source(settings), is_checked=False)


def method_of(argv: Sequence[str]) -> str:
    """`sft` or `dpo`, whichever knows all keys of the recipe and the flags; the data's columns decide where both do.

    Raises:
        ConfigError: neither keys nor columns tell.
    """
    given = given_settings(argv)
    sft, dpo = ({field.name for field in dataclasses.fields(config)} for config in (SFTConfig, DPOConfig))
    asks_sft, asks_dpo = sorted(given.keys() & sft - dpo), sorted(given.keys() & dpo - sft)
    if asks_sft and asks_dpo:
        raise ConfigError(
            f"The settings do not go together: {', '.join(asks_sft)} of sft and {', '.join(asks_dpo)} of dpo."
        )
    if asks_sft or asks_dpo:
        return SFT if asks_sft else DPO
    return _method_of_columns(given)


def given_settings(argv: Sequence[str]) -> dict[str, Any]:
    """What the recipe and the flags say, not yet checked; a flag wins."""
    kinds = get_type_hints(ScriptArguments) | get_type_hints(SFTConfig) | get_type_hints(DPOConfig)
    given: dict[str, Any] = {}
    for part in written_settings(argv, kinds):
        given |= part.settings
    named = {key: value for key, value in given.items() if key.startswith("dataset_")}
    return given | check_values(named, get_type_hints(ScriptArguments), "settings")


def _method_of_columns(given: Mapping[str, Any]) -> str:
    """By the columns of the dataset, of a mixture by those of its first source."""
    source = next((one for one in given.get("datasets") or () if isinstance(one, Mapping)), {})
    name = source.get("path") or given.get("dataset_name")
    if name is None:
        raise ConfigError("dataset_name: expected a file, a folder or a Hub id; got nothing. Set --dataset_name.")
    own = source if source else {"split": given.get("dataset_train_split"), "name": given.get("dataset_config")}
    folder = source.get("image_folder") or given.get("image_folder")
    # Pictures that cannot be had are told of where the rows are read to be shown.
    names = read_names(source.get("columns") or given.get("columns"))
    access = PictureAccess(None if folder is None else str(folder), keep_missing=True, columns=names)
    dataset = read_dataset(name, own.get("split") or ScriptArguments.dataset_train_split, own.get("name"), access)
    return DPO if are_preferences(dataset) else SFT
