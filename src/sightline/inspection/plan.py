"""Plan a training command without running it: settings, processor, family facts, rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from datasets import Dataset

from sightline.config import check_values
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats import are_preferences
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset
from sightline.errors import ConfigError, DataError
from sightline.models.families import FAMILIES
from sightline.models.patches import patched_config
from sightline.settings.given import written_settings
from sightline.training.arguments import ScriptArguments, TrainingSettings, read_names, read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.rows import planned_encoding, unchecked_rows
from sightline.training.sft import SFTConfig
from sightline.training.source import ModelSource, model_source
from sightline.types import FamilyFacts

SFT, DPO = "sft", "dpo"
CONFIGS = {SFT: SFTConfig, DPO: DPOConfig}


@dataclass(frozen=True)
class PlannedRun:
    """A training run before anything of it is made.

    Attributes:
        method: `sft` or `dpo`.
        source: model (or its name) and processor.
        rows: the train split in TRL's columns, images closed.
        name: what messages call the rows.
        encoding: how rows become sequences.
        facts: of the model's family; None for one that is not in the table.
    """

    method: str
    settings: TrainingSettings
    source: ModelSource
    rows: Dataset
    name: str
    encoding: EncodingSettings
    facts: FamilyFacts | None

    @property
    def preferences(self) -> bool:
        """Whether rows hold a chosen and a rejected answer."""
        return self.method == DPO

    @property
    def encoder(self) -> SequenceEncoder:
        """A new encoder of the run's rows."""
        return SequenceEncoder(self.source.processor, self.encoding)


def plan_run(argv: Sequence[str], method: str | None = None) -> PlannedRun:
    """The run that `--config RECIPE --key value ...` describes; `method` where neither keys nor columns tell it.

    Raises:
        InputError: a setting, the data or the model cannot be used.
    """
    method = method or method_of(argv)
    if method not in CONFIGS:
        raise ConfigError(f"for: expected {SFT} or {DPO}; got '{method}'.")
    settings = read_settings(argv, CONFIGS[method])
    return planned(settings, method, model_source(settings))


def planned(settings: TrainingSettings, method: str, source: ModelSource) -> PlannedRun:
    """The run of these settings from a model and processor that are there already."""
    rows = unchecked_rows(settings, "preferences" if method == DPO else "sft", source.processor)
    config = patched_config(source.model, settings.model.model_revision)
    return PlannedRun(
        method,
        settings,
        source,
        rows,
        rows.info.dataset_name or "the dataset",
        planned_encoding(settings, source.processor),
        FAMILIES.get(config.model_type) if config is not None else None,
    )


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


def chosen_rows(plan: PlannedRun, numbers: Sequence[int] | None, limit: int) -> list[int]:
    """The indices to look at: those named (from 0), else the first `limit`.

    Raises:
        DataError: there is no such row.
    """
    if numbers is None:
        return list(range(min(limit, len(plan.rows))))
    for number in numbers:
        if not 0 <= number < len(plan.rows):
            raise DataError(f"rows: expected numbers from 0 to {len(plan.rows) - 1}; got {number}. Rows count from 0.")
    return list(numbers)
