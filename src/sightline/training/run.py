"""Run a training command: check the input, train, save; `run_sft` and `run_dpo` are the whole story."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset
from rich.console import Console
from rich.progress import track
from trl.chat_template_utils import get_training_chat_template, has_generation_markers

from sightline.data.checks import DataSummary, check_rows
from sightline.data.formats import to_preference_columns, to_sft_columns
from sightline.data.sequences import EncodingSettings, SequenceEncoder
from sightline.data.sources import read_dataset
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError, InputError
from sightline.runs import RunFolder
from sightline.training.arguments import TrainingSettings
from sightline.training.callbacks import add_callbacks
from sightline.training.dpo import DPOConfig, DPOTrainer
from sightline.training.losses import perturbation
from sightline.training.restore import last_whole_checkpoint
from sightline.training.sft import SFTTrainer
from sightline.training.sharing import prepared
from sightline.training.source import ModelSource, model_source
from sightline.training.task_scores import Score, add_task_scores, check_task_scores


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left.

    Attributes:
        folder: the run folder, which is also the model folder.
        route: how batches were run.
        steps: optimizer steps done.
        train_loss: mean training loss over the run.
        seconds: wall-clock time of training.
    """

    folder: Path
    route: RouteChoice
    steps: int
    train_loss: float
    seconds: float

    @property
    def summary(self) -> str:
        """One line for the user."""
        loss, route = f"mean loss {self.train_loss:.4f}", f"route {self.route.route}"
        return f"{self.steps} steps in {self.seconds:.0f} s, {loss}, {route}: {self.route.reason}."


def run_sft(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Fine-tune on demonstrations and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt: Ctrl-C; a checkpoint to resume from has been saved.
    """
    return _run(settings, to_sft_columns, sft_trainer, "SFT", score)


def run_dpo(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Align with preference pairs and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt: Ctrl-C; a checkpoint to resume from has been saved.
    """
    if settings.script.preset is not None:
        raise ConfigError("preset: DPO aligns a trained model. Train one by `sightline sft`, then name its folder.")
    return _run(settings, to_preference_columns, dpo_trainer, "DPO", score)


def sft_trainer(settings: TrainingSettings, source: ModelSource, train: Dataset, test: Dataset | None) -> SFTTrainer:
    """The trainer of a run that learns from demonstrations."""
    return SFTTrainer(
        model=source.model,
        args=settings.training,
        train_dataset=train,
        eval_dataset=test,
        processing_class=source.processor,
        quantization_config=trl.get_quantization_config(settings.model),
        peft_config=trl.get_peft_config(settings.model),
    )


def dpo_trainer(settings: TrainingSettings, source: ModelSource, train: Dataset, test: Dataset | None) -> DPOTrainer:
    """The trainer of a run that aligns with preference pairs."""
    return DPOTrainer(
        model=source.model,
        args=settings.training,
        train_dataset=train,
        eval_dataset=test,
        processing_class=source.processor,
        quantization_config=trl.get_quantization_config(settings.model),
        peft_config=trl.get_peft_config(settings.model),
    )


def _run(
    settings: TrainingSettings,
    to_columns: Callable[[Any, str], Any],
    build: Callable[[TrainingSettings, ModelSource, Dataset, Dataset | None], Any],
    title: str,
    score: Score | None,
) -> TrainingResult:
    training = settings.training
    if score is not None:
        check_task_scores(training)
    resume = bool(training.resume_from_checkpoint)
    folder = RunFolder(Path(training.output_dir))
    folder.check(resume)
    source = model_source(settings)
    train = _rows(settings, settings.script.dataset_train_split, to_columns, source)
    test = None
    if training.eval_strategy != "no":
        test = _rows(settings, settings.script.dataset_test_split, to_columns, source)
    with quiet_input_errors(settings):
        trainer = build(settings, source, train, test)
    if score is not None:
        add_task_scores(trainer, score)
    folder.begin(settings.given, resume)
    folder.write_json("route.json", trainer.route)
    interruption = add_callbacks(trainer, folder, title)
    outcome = trainer.train(resume_from_checkpoint=_checkpoint(training))
    if interruption.came:
        print(f"Resume with --resume_from_checkpoint true --output_dir {folder.path}", file=sys.stderr)
        raise KeyboardInterrupt
    trainer.save_model(training.output_dir)
    trainer.create_model_card(dataset_name=settings.script.dataset_name)
    if training.push_to_hub:
        trainer.push_to_hub(dataset_name=settings.script.dataset_name)
    return TrainingResult(
        folder.path, trainer.route, outcome.global_step, outcome.training_loss, outcome.metrics["train_runtime"]
    )


def read_rows(settings: TrainingSettings, split: str, to_columns: Callable[[Any, str], Any]) -> Any:
    """The split of the dataset that the settings name, in TRL's columns, its images closed; not yet checked.

    Raises:
        InputError: no dataset is named, or it cannot be read.
    """
    script = settings.script
    if settings.mixture.datasets:
        return prepared(trl.get_dataset(settings.mixture)[split], to_columns)
    if script.dataset_name is None:
        raise ConfigError("dataset_name: expected a file, a folder or a Hub id; got nothing. Set --dataset_name.")
    name = _source_name(script.dataset_name, split)
    dataset = read_dataset(script.dataset_name, split, script.dataset_config)
    dataset = prepared(to_columns(dataset, name), to_columns)
    if isinstance(dataset, Dataset):
        dataset.info.dataset_name = name  # what the trainer calls its rows
    return dataset


def _rows(settings: TrainingSettings, split: str, to_columns: Callable[[Any, str], Any], source: ModelSource) -> Any:
    """The rows of a split, every one checked."""
    dataset = read_rows(settings, split, to_columns)
    if settings.mixture.datasets or not {"image", "images"} & set(dataset.column_names):
        return dataset
    preferences, name = to_columns is to_preference_columns, dataset.info.dataset_name
    encoder = SequenceEncoder(source.processor, planned_encoding(settings, source.processor))
    _report(check_rows(dataset, name, encoder, preferences, progress), name)
    return dataset


def _checkpoint(training: Any) -> str | None:
    """The checkpoint that the settings name; for `true` the newest whole one, and none where the run left none."""
    if training.resume_from_checkpoint is not True:
        return training.resume_from_checkpoint or None
    found = last_whole_checkpoint(Path(training.output_dir))
    if found is None:
        print(f"{training.output_dir} holds no whole checkpoint: training starts from step 0.", file=sys.stderr)
    return found


def planned_encoding(settings: TrainingSettings, processor: Any) -> EncodingSettings:
    """How a run of these settings turns rows into sequences, known before its trainer is made."""
    training = settings.training
    template = None
    if getattr(training, "assistant_only_loss", False) and not has_generation_markers(processor.chat_template):
        template = get_training_chat_template(processor)  # as TRL's trainer does
    return EncodingSettings(
        max_length=training.max_length,
        length_policy=training.length_policy,
        completion_only_loss=getattr(training, "completion_only_loss", True) is not False,
        assistant_only_loss=getattr(training, "assistant_only_loss", False),
        chat_template=template,
        dataset_text_field=getattr(training, "dataset_text_field", "text"),
        perturbation=perturbation(training) if isinstance(training, DPOConfig) else None,
    )


def _source_name(dataset: str, split: str) -> str:
    """What messages call the rows: the file, or the split of the folder or Hub id."""
    path = Path(dataset)
    for suffix in (".jsonl", ".json", ".csv", ".tsv", ".parquet"):
        if (path / f"{split}{suffix}").is_file():
            return str(path / f"{split}{suffix}")
    return dataset if path.is_file() else f"{dataset} {split}"


def progress(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """The items, with a bar on stderr that vanishes when they are done."""
    return track(items, description=title, total=total, console=Console(file=sys.stderr), transient=True)


def _report(summary: DataSummary, name: str) -> None:
    print(
        f"{name}: {summary.rows:,} rows, {summary.images:,} distinct images, "
        f"longest sequence {summary.longest:,} tokens.",
        file=sys.stderr,
    )


@contextmanager
def quiet_input_errors(settings: TrainingSettings) -> Iterator[None]:
    """TRL's complaints about settings and missing files as input errors with one line."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(f"{settings.model.model_name_or_path or settings.script.preset}: {error}") from error
