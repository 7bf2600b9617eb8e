"""Run a training command: check, train, save; `run_sft` and `run_dpo` are the whole story."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset

from sightline.data.formats.registry import Goal
from sightline.data.sources.kept_rows import maps_in_temporary_files
from sightline.disks import told_disk
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError, DataError, InputError, MachineError
from sightline.launch.processes import Processes, joined_processes, say
from sightline.models.folders import is_misfit, why_unreadable
from sightline.runs import RunFolder
from sightline.training.arguments import TrainingSettings
from sightline.training.begun import began_with_all_rows, begun_with, opened_folder, resume_same
from sightline.training.callbacks import require_reporters
from sightline.training.collators import skip_in_batches
from sightline.training.dpo import DPOTrainer
from sightline.training.loop import Trained, told_start, told_steps, train_to_the_end
from sightline.training.pushing import push_model
from sightline.training.row_names import find_row
from sightline.training.rows import training_rows
from sightline.training.sft import SFTTrainer
from sightline.training.source import ModelSource, model_source, policy
from sightline.training.task_scores import Score, add_task_scores, check_task_scores

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left.

    Attributes:
        folder: the run folder, which is also the model folder.
        route: how batches were run.
        trained: steps, mean loss and time.
    """

    folder: Path
    route: RouteChoice
    trained: Trained

    @property
    def summary(self) -> str:
        """One line for the user."""
        return f"{told_steps(self.trained)}, route {self.route.route}: {self.route.reason}."


def run_sft(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Fine-tune on demonstrations and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt, Stopped: Ctrl-C, SIGTERM or SIGHUP; a checkpoint to resume from has been saved.
    """
    return _run(settings, "sft", sft_trainer, "SFT", score)


def run_dpo(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Align with preference pairs and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt, Stopped: Ctrl-C, SIGTERM or SIGHUP; a checkpoint to resume from has been saved.
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
    quantization = trl.get_quantization_config(settings.model)
    return {
        "model": policy(source, settings),
        "args": settings.training,
        "train_dataset": train,
        "eval_dataset": test,
        "processing_class": source.processor,
        "quantization_config": quantization if source.adapter is None else None,
        "peft_config": trl.get_peft_config(settings.model),
    }


def _run(
    settings: TrainingSettings,
    goal: Goal,
    build: Callable[[TrainingSettings, ModelSource, Dataset, Dataset | None], Any],
    title: str,
    score: Score | None,
) -> TrainingResult:
    with joined_processes() as processes:
        return _train(settings, goal, build, title, score, processes)


def _train(
    settings: TrainingSettings,
    goal: Goal,
    build: Callable[[TrainingSettings, ModelSource, Dataset, Dataset | None], Any],
    title: str,
    score: Score | None,
    processes: Processes,
) -> TrainingResult:
    training = settings.training
    if score is not None:
        check_task_scores(training)
    resume = bool(training.resume_from_checkpoint)
    folder = RunFolder(Path(training.output_dir))
    processes.first_does(lambda: folder.require_free(resume))
    with told_start(resume) as said:
        require_reporters(training)
        source = model_source(settings)
        if resume and settings.script.skip_bad_rows:
            stay = processes.first_does(lambda: began_with_all_rows(folder, training))
            settings = replace(settings, bad_rows_stay=stay)
            if stay and getattr(training, "reference_store", "off") != "off":
                training.reference_store = "off"
                say("reference_store: off, since rows that cannot be used have no reference; each step asks for it.")
        train, test = processes.in_turn(lambda: training_rows(settings, goal, source.processor))
        records = (settings.script, training, settings.model, settings.mixture)
        rows = {"training": train, "evaluation": test}
        begun = processes.first_does(lambda: begun_with(records, training, rows, *source.folders))
        if resume:
            stay = settings.bad_rows_stay
            begun = processes.first_does(partial(resume_same, folder, begun, training, stay))
        with quiet_input_errors(settings), maps_in_temporary_files():
            trainer = build(settings, source, train, test)
        trainer.find_row = partial(find_row, train, train.info.dataset_name or str(settings.script.dataset_name))
        if settings.script.skip_bad_rows:
            skip_in_batches(trainer)
        if score is not None:
            add_task_scores(trainer, score)
    with opened_folder(folder, settings, begun, processes) as checkpoint:
        if processes.first:
            folder.write_json("route.json", trainer.route)
        try:
            trained = train_to_the_end(trainer, folder, title, checkpoint, said)
        except DataError as error:
            error.args = (f"{error} Or resume without such rows: --resume_from_checkpoint true --skip_bad_rows true.",)
            raise
        trainer.create_model_card(dataset_name=settings.script.dataset_name)
        push_model(trainer, folder)
    return TrainingResult(folder.path, trainer.route, trained)


@contextmanager
def quiet_input_errors(settings: TrainingSettings) -> Iterator[None]:
    """TRL's complaints about settings, missing files and weights that do not fit, as input errors with one line.

    What our own code raises unforeseen keeps its traceback.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if Path(traceback.extract_tb(error.__traceback__)[-1].filename).is_relative_to(_PACKAGE):
            raise
        if told_disk(error):
            raise MachineError(told_disk(error)) from error
        raise InputError(f"{settings.model.model_name_or_path or settings.script.preset}: {error}") from error
    except RuntimeError as error:
        name = settings.model.model_name_or_path
        if name is None or not is_misfit(error):
            raise
        raise InputError(f"The model {name} could not be loaded: {why_unreadable(name, error)}") from error
