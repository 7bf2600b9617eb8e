"""Run a training command: check the input, train, save; `run_sft` and `run_dpo` are the whole story."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset

from sightline.data.formats.registry import Goal
from sightline.data.kept_rows import maps_in_temporary_files
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError, InputError
from sightline.models.pretrained import refused_pickles
from sightline.runs import RunFolder
from sightline.training.arguments import TrainingSettings
from sightline.training.begun import begun_with, resume_same
from sightline.training.callbacks import add_callbacks
from sightline.training.dpo import DPOTrainer
from sightline.training.restore import last_whole_checkpoint, step_of, told_steps
from sightline.training.rows import training_rows
from sightline.training.sft import SFTTrainer
from sightline.training.source import ModelSource, model_source
from sightline.training.task_scores import Score, add_task_scores, check_task_scores


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left.

    Attributes:
        folder: the run folder, which is also the model folder.
        route: how batches were run.
        steps: optimizer steps done.
        train_loss: mean training loss of the steps that this command did.
        seconds: wall-clock time of training.
        first: steps done before, by the run that this one goes on with.
    """

    folder: Path
    route: RouteChoice
    steps: int
    train_loss: float
    seconds: float
    first: int = 0

    @property
    def summary(self) -> str:
        """One line for the user."""
        return f"{told_steps(self)}, route {self.route.route}: {self.route.reason}."


def run_sft(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Fine-tune on demonstrations and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt: Ctrl-C; a checkpoint to resume from has been saved.
    """
    return _run(settings, "sft", sft_trainer, "SFT", score)


def run_dpo(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Align with preference pairs and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt: Ctrl-C; a checkpoint to resume from has been saved.
    """
    if settings.script.preset is not None:
        raise ConfigError("preset: DPO aligns a trained model. Train one by `sightline sft`, then name its folder.")
    return _run(settings, "preferences", dpo_trainer, "DPO", score)


def sft_trainer(settings: TrainingSettings, source: ModelSource, train: Dataset, test: Dataset | None) -> SFTTrainer:
    """The trainer of a run that learns from demonstrations."""
    return SFTTrainer(**_arguments(settings, source, train, test))


def dpo_trainer(settings: TrainingSettings, source: ModelSource, train: Dataset, test: Dataset | None) -> DPOTrainer:
    """The trainer of a run that aligns with preference pairs."""
    return DPOTrainer(**_arguments(settings, source, train, test))


def _arguments(settings: TrainingSettings, source: ModelSource, train: Dataset, test: Dataset | None) -> dict[str, Any]:
    return {
        "model": source.model,
        "args": settings.training,
        "train_dataset": train,
        "eval_dataset": test,
        "processing_class": source.processor,
        "quantization_config": trl.get_quantization_config(settings.model),
        "peft_config": trl.get_peft_config(settings.model),
    }


def _run(
    settings: TrainingSettings,
    goal: Goal,
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
    train, test = training_rows(settings, goal, source.processor)
    records = (settings.script, training, settings.model, settings.mixture)
    rows = {"training": train, "evaluation": test}
    begun = begun_with(records, training, rows, settings.model.model_name_or_path)
    if resume:
        resume_same(folder, begun, training)
    with quiet_input_errors(settings), maps_in_temporary_files():
        trainer = build(settings, source, train, test)
    if score is not None:
        add_task_scores(trainer, score)
    folder.begin(settings.given, resume, begun)
    folder.write_json("route.json", trainer.route)
    interruption = add_callbacks(trainer, folder, title)
    checkpoint = _checkpoint(training)
    first = step_of(checkpoint)
    if trainer.is_world_process_zero():
        folder.forget_metrics_after(first)
    with refused_pickles(checkpoint or training.output_dir):
        outcome = trainer.train(resume_from_checkpoint=checkpoint)
    if interruption.came:
        print(f"Resume with --resume_from_checkpoint true --output_dir {folder.path}", file=sys.stderr)
        raise KeyboardInterrupt
    trainer.save_model(training.output_dir)
    trainer.create_model_card(dataset_name=settings.script.dataset_name)
    if training.push_to_hub:
        trainer.push_to_hub(dataset_name=settings.script.dataset_name)
    return TrainingResult(
        folder.path,
        trainer.route,
        outcome.global_step,
        outcome.training_loss,
        outcome.metrics["train_runtime"],
        first,
    )


def _checkpoint(training: Any) -> str | None:
    """The checkpoint that the settings name; for `true` the newest whole one, and none where the run left none."""
    if training.resume_from_checkpoint is not True:
        return training.resume_from_checkpoint or None
    found = last_whole_checkpoint(Path(training.output_dir))
    if found is None:
        print(f"{training.output_dir} holds no whole checkpoint: training starts from step 0.", file=sys.stderr)
    return found


@contextmanager
def quiet_input_errors(settings: TrainingSettings) -> Iterator[None]:
    """TRL's complaints about settings and missing files as input errors with one line."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(f"{settings.model.model_name_or_path or settings.script.preset}: {error}") from error
