"""Find the rows to evaluate on: named, held out, or the test split; never training rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sightline.data.sources.documents import holds_split
from sightline.data.sources.text_files import row_kind
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.settings.early import require_dataset
from sightline.training.arguments import EvaluationSource, MixtureSource, TrainingSettings


def mixture_sources(settings: TrainingSettings) -> list[MixtureSource]:
    """The sources of a mixture; a single dataset is one where rows are held out of it, and else none.

    Raises:
        ConfigError: no dataset is named, or the share to hold out is none.
    """
    script, mixture = settings.script, settings.mixture
    share = mixture.test_split_size
    if share is not None and not 0 < share < 1:
        raise ConfigError(f"test_split_size: expected a share of the rows between 0 and 1, got {share}.")
    if mixture.datasets:
        return list(mixture.datasets)
    require_dataset(script.dataset_name)
    assert script.dataset_name is not None
    if share is None:
        return []
    return [MixtureSource(script.dataset_name, name=script.dataset_config, split=script.dataset_train_split)]


def evaluation_sources(settings: TrainingSettings) -> list[EvaluationSource]:
    """The sources that `eval_dataset_name` or `eval_datasets` name; none where nothing is evaluated.

    Raises:
        ConfigError: both are given, or rows that train are named, or others are held out besides.
    """
    script, mixture = settings.script, settings.mixture
    named = list(mixture.eval_datasets)
    if script.eval_dataset_name is not None and named:
        raise ConfigError("eval_dataset_name: expected this or eval_datasets, got both. Leave one out.")
    if script.eval_dataset_name is not None:
        config = script.dataset_config if script.eval_dataset_name == script.dataset_name else None
        named = [EvaluationSource(script.eval_dataset_name, name=config)]
    if named and mixture.test_split_size is not None:
        raise ConfigError("test_split_size: rows to evaluate on are named already. Leave it out, or their names.")
    if named and settings.training.eval_strategy == "no":
        say("Rows to evaluate on are named, but not read: eval_strategy is no.")
        return []
    named = [_with_split(entry, script.dataset_test_split) for entry in named]
    trained = {_identity(entry) for entry in mixture.datasets}
    if not trained and script.dataset_name is not None:
        trained = {_identity(MixtureSource(script.dataset_name, split=script.dataset_train_split))}
    for entry in named:
        if _identity(entry) in trained:
            raise ConfigError(
                f"eval_dataset_name: {entry.path} holds the rows that train. Name others, or hold some of them out by "
                "test_split_size."
            )
    return named


def check_evaluation(settings: TrainingSettings) -> None:
    """Nothing where the run has rows to evaluate on, or may have; for those who ask before a run reads its rows.

    Raises:
        ConfigError: as `evaluation_sources` and `require_test_split`.
    """
    named = evaluation_sources(settings)
    if settings.training.eval_strategy != "no" and not named and not mixture_sources(settings):
        require_test_split(settings)


def require_test_split(settings: TrainingSettings) -> None:
    """Nothing where the dataset may have `dataset_test_split`, as folders and Hub ids do.

    Raises:
        ConfigError: it is a file, which is one split, or the split is the one that trains.
    """
    file = Path(str(settings.script.dataset_name)).expanduser()
    split = settings.script.dataset_test_split
    if file.is_file() and row_kind(file) != ".json" and not holds_split(file, split):
        raise ConfigError(
            f"{file.name} has no split '{split}' to evaluate on, and eval_strategy is "
            f"{settings.training.eval_strategy.value}. Name rows by --eval_dataset_name FILE, hold out a share of "
            "these by --test_split_size 0.1, or set eval_strategy to no."
        )
    if split == settings.script.dataset_train_split:
        raise ConfigError(
            f"dataset_test_split: expected other rows than those that train, got '{split}', as dataset_train_split. "
            "Name another split, or rows by --eval_dataset_name."
        )


def _with_split(entry: EvaluationSource, split: str) -> EvaluationSource:
    if entry.split is not None or Path(entry.path).expanduser().is_file():
        return entry
    is_built = entry.data_dir is not None or entry.data_files is not None  # whose only split is train
    return dataclasses.replace(entry, split="train" if is_built else split)


def _identity(entry: MixtureSource) -> tuple[str, ...]:
    """What is equal for sources of the same rows; a JSON file may hold several splits."""
    path = Path(entry.path).expanduser()
    place = str(path.resolve()) if path.exists() else str(entry.path)
    if path.is_file() and (row_kind(path) != ".json" or entry.split in (None, "train")):
        return (place,)
    return (place, str(entry.name), str(entry.split), str(entry.data_dir), str(entry.data_files))
