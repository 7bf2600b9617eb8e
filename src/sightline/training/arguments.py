"""Read a training command's recipe and flags into TRL's records, every name and value checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

import trl
import trl.scripts.utils

from sightline.config import check_values
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames, read_columns
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.secrets import HIDDEN, without_hidden
from sightline.settings.given import read_given
from sightline.settings.loading import LoadingOptions
from sightline.settings.words import check_keys
from sightline.training.folder_code import KEY, refuse_code_setting
from sightline.training.loading import LoadingArguments, joined_options, require_device

STORES = ("feature_store", "reference_store")  # auto, on or off, and true and false for the last two
EVAL_TASKS_HELP = (
    "Benchmarks to run at each evaluation, separated by commas: TASK, or TASK:DATA with the place of its rows; "
    "custom:FILE for your own rows."
)


@dataclass
class ScriptArguments(trl.ScriptArguments):
    """TRL's ScriptArguments with `preset`, `adapter`, `eval_dataset_name`, `eval_tasks`, `image_folder`, `columns`,
    `allow_urls` and `skip_bad_rows`; `dataset_name` may also be a file or folder of any format in docs/formats.md."""

    preset: str | None = field(
        default=None,
        metadata={"help": "Build this preset from scratch (see `sightline build`) instead of loading a model."},
    )
    adapter: str | None = field(
        default=None,
        metadata={"help": "PEFT adapter folder to train further; by default model_name_or_path, if that is one."},
    )
    eval_dataset_name: str | None = field(
        default=None,
        metadata={"help": "File, folder or Hub id of rows to evaluate on; of the latter two, dataset_test_split."},
    )
    eval_tasks: list[str] | None = field(default=None, metadata={"help": EVAL_TASKS_HELP})
    eval_tasks_limit: int | None = field(default=None, metadata={"help": "Use only the first N items of each task."})
    image_folder: str | None = field(
        default=None, metadata={"help": "Folder where relative picture paths start; by default that of the rows."}
    )
    columns: dict[str, str] | str | None = field(
        default=None,
        metadata={"help": "Your column names: question=q,answer=a,image=img, or a mapping."},
    )
    allow_urls: bool = field(
        default=False, metadata={"help": "Download pictures that rows name by https, from public hosts only."}
    )
    skip_bad_rows: bool = field(
        default=False,
        metadata={"help": "Leave out and count rows that cannot be used, before training and in the middle of it."},
    )


@dataclass
class MixtureSource(trl.scripts.utils.DatasetConfig):
    """One of TRL's `datasets` with `rows`, a number of rows to take instead of a `fraction`, and an `image_folder`;
    `columns` is TRL's list of columns to keep, or names given to them as in ScriptArguments."""

    columns: list[str] | dict[str, str] | str | None = None
    rows: int | None = None
    image_folder: str | None = None


def read_names(columns: list[str] | dict[str, str] | str | None) -> ColumnNames:
    """The names that a setting `columns` gives; none for TRL's list of columns to keep."""
    return OWN_NAMES if isinstance(columns, list) else read_columns(columns, "columns")


@dataclass
class EvaluationSource(MixtureSource):
    """A source of rows to evaluate on; `split` is dataset_test_split by default, and all of a file."""

    split: str | None = None


@dataclass
class MixtureConfig(trl.DatasetMixtureConfig):
    """TRL's mixture, each source of which may be of any format in docs/formats.md; `test_split_size` acts on a single
    `dataset_name`, too."""

    datasets: list[MixtureSource] = field(
        default_factory=list, metadata={"help": "The sources of a mixture: path, and fraction or rows."}
    )

    eval_datasets: list[EvaluationSource] = field(
        default_factory=list, metadata={"help": "The sources of rows to evaluate on: path, and split."}
    )

    def __post_init__(self) -> None:
        _fill(self.datasets, MixtureSource, "datasets")
        _fill(self.eval_datasets, EvaluationSource, "eval_datasets")


def _fill(entries: list[Any], record: type, setting: str) -> None:
    """Puts a record in place of each mapping of a setting."""
    kinds = get_type_hints(record)
    for index, entry in enumerate(entries):
        if isinstance(entry, record):
            continue
        where = f"{setting}, source {index + 1}"
        if not isinstance(entry, dict) or "path" not in entry:
            raise ConfigError(f"{where}: expected a mapping with a path, got {entry!r}. Write `- path: FILE`.")
        check_keys(entry, kinds, where)
        entries[index] = record(**check_values(entry, kinds, where))


@dataclass(frozen=True)
class TrainingSettings:
    """All settings of one training command.

    Attributes:
        script: dataset and preset.
        training: SFTConfig or DPOConfig.
        model: model name, precision, attention, PEFT, quantization.
        mixture: several datasets in one.
        own_loading: how the model is loaded, beside what `model` says of it.
        loading: both.
        given: what the recipe and the flags said, merged.
        bad_rows_stay: whether rows that cannot be used keep their places, to be left out when their batch comes: those
            that went bad since the run that is resumed began, whose order of rows is gone on with.
    """

    script: ScriptArguments
    training: Any
    model: trl.ModelConfig
    mixture: MixtureConfig
    own_loading: LoadingArguments
    loading: LoadingOptions
    given: dict[str, Any]
    bad_rows_stay: bool = False


def read_settings(argv: Sequence[str], training_class: type) -> TrainingSettings:
    """The settings of `--config RECIPE --key value ...`; a flag wins over the recipe.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or settings that exclude each other.
    """
    records = (ScriptArguments, training_class, trl.ModelConfig, MixtureConfig, LoadingArguments)
    given, (script, training, model, mixture, own) = read_records(argv, records)
    loading = joined_options(model, own)
    require_device(loading.device, loading.device_map, training)
    return TrainingSettings(script, training, model, mixture, own, loading, given)


def read_records(argv: Sequence[str], records: Sequence[type]) -> tuple[dict[str, Any], list[Any]]:
    """What `--config RECIPE --key value ...` says, merged, and each record filled from it; a flag wins.

    `device: cpu` is transformers' `use_cpu`.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or settings that exclude each other.
    """
    kinds = kinds_of(records)
    given: dict[str, Any] = {}
    for part in read_given(argv, kinds):
        refuse_code_setting(part.settings, f"{part.where}: {KEY}")
        refuse_code_setting(part.settings.get("model_init_kwargs"), f"{part.where}: model_init_kwargs")
        given |= {key: value for key, value in part.settings.items() if key != KEY}
    given |= {store: "on" if given[store] else "off" for store in STORES if isinstance(given.get(store), bool)}
    if given.get("device") == "cpu":
        given.setdefault("use_cpu", True)
    given, unknown = without_hidden(given)
    if unknown:
        say(
            f"{', '.join(unknown)}: {HIDDEN} stands where a secret was not recorded, and counts as not given. Give it "
            "again where it is needed."
        )
    return given, [_record(kind, given) for kind in records]


def kinds_of(records: Sequence[type]) -> dict[str, Any]:
    """The annotation of each setting of the records."""
    kinds = {
        field.name: get_type_hints(record)[field.name]
        for record in records
        for field in dataclasses.fields(record)
        if field.init
    }
    kinds["resume_from_checkpoint"] = bool | str | None  # transformers says str, and takes True for the latest one
    kinds[KEY] = bool  # of TRL's records, and of every verb, to be refused by name
    return kinds | {store: bool | str for store in STORES if store in kinds}


def _record(kind: type, given: dict[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(kind) if field.init}
    try:
        return kind(**{name: value for name, value in given.items() if name in names})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"The settings do not go together: {error}") from error
