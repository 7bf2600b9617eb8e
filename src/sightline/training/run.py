"""Run a training command: plan, trainer, loop, save; `run_sft` and `run_dpo` are the whole story."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import trl

from sightline.data.sources.kept_rows import maps_in_temporary_files
from sightline.disks import told_disk
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError, InputError, MachineError
from sightline.launch.processes import say
from sightline.models.folders import is_misfit, why_unreadable
from sightline.training.arguments import TrainingSettings
from sightline.training.begun import began_with_all_rows
from sightline.training.dpo import DPOTrainer
from sightline.training.loop import Prepared, Run, Trained, run_training, told_steps
from sightline.training.plan import DPO, SFT, RunPlan, plan_run
from sightline.training.sft import SFTTrainer
from sightline.training.source import model_source, policy, require_room_for
from sightline.training.task_scores import Score, check_task_scores

TRAINERS: dict[str, Any] = {SFT: SFTTrainer, DPO: DPOTrainer}
_PACKAGE = Path(__file__).resolve().parents[1]


_SKIP_ADVICE = "Or resume without such rows: --resume_from_checkpoint true --skip_bad_rows true."


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
    return _run(settings, SFT, score)


def run_dpo(settings: TrainingSettings, score: Score | None = None) -> TrainingResult:
    """Align with preference pairs and leave a model folder; `score` is asked at each evaluation, too.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt, Stopped: Ctrl-C, SIGTERM or SIGHUP; a checkpoint to resume from has been saved.
    """
    if settings.script.preset is not None:
        raise ConfigError("preset: DPO aligns a trained model. Train one by `sightline sft`, then name its folder.")
    return _run(settings, DPO, score)


def _run(settings: TrainingSettings, method: str, score: Score | None) -> TrainingResult:
    """Plan, trainer, loop, save: the loop asks `_prepared` for the first two."""
    if score is not None:
        check_task_scores(settings.training)
    finished = run_training(settings, method.upper(), partial(_prepared, method=method, score=score))
    assert finished.trainer.route is not None, "a trainer of ours has one"
    return TrainingResult(finished.folder, finished.trainer.route, finished.trained)


def _prepared(run: Run, method: str, score: Score | None) -> Prepared:
    settings = run.settings
    source = model_source(settings)
    require_room_for(source, settings)
    settings = _with_bad_rows_of_before(run, settings)
    plan = run.processes.in_turn(lambda: plan_run(settings, method, source))
    rows = {"training": plan.rows, "evaluation": None if plan.evaluation is None else plan.evaluation.dataset}
    records = (settings.script, settings.training, settings.model, settings.mixture, settings.own_loading)
    begun = run.begun_with(records, rows, source.folders, settings.bad_rows_stay)
    with maps_in_temporary_files():
        trainer = make_trainer(plan)
    trainer.score_tasks(score)
    card = partial(trainer.create_model_card, dataset_name=settings.script.dataset_name)
    return Prepared(trainer, begun, lambda folder: card(), {"route.json": trainer.route}, _SKIP_ADVICE)


def _with_bad_rows_of_before(run: Run, settings: TrainingSettings) -> TrainingSettings:
    """The settings of a resumed run that leaves bad rows out: those that were good when it began keep their places."""
    training = settings.training
    if not run.is_resumed or not settings.script.skip_bad_rows:
        return settings
    stay = run.processes.first_does(lambda: began_with_all_rows(run.folder, training))
    if stay and getattr(training, "reference_store", "off") != "off":
        training.reference_store = "off"
        say("reference_store: off, since rows that cannot be used have no reference; each step asks for it.")
    return replace(settings, bad_rows_stay=stay)


def make_trainer(plan: RunPlan) -> SFTTrainer | DPOTrainer:
    """The trainer of a planned run.

    Raises:
        InputError: TRL refuses settings, or weights do not fit.
    """
    settings, source = plan.settings, plan.source
    with quiet_input_errors(settings):
        return TRAINERS[plan.method](
            model=policy(source, settings),
            args=settings.training,
            train_dataset=plan.train,
            eval_dataset=plan.evaluation,
            processing_class=source.processor,
            quantization_config=source.rounding if source.adapter is None else None,
            peft_config=trl.get_peft_config(settings.model),
        )


@contextmanager
def quiet_input_errors(settings: TrainingSettings) -> Iterator[None]:
    """TRL's complaints about settings, missing files and weights that do not fit, as input errors with one line.

    What our own code raises unforeseen keeps its traceback.
    """
    try:
        yield
    except (ValueError, OSError, KeyError) as error:
        if Path(traceback.extract_tb(error.__traceback__)[-1].filename).is_relative_to(_PACKAGE):
            raise
        if told_disk(error):
            raise MachineError(told_disk(error)) from error
        told = (
            f"transformers does not know {str(error)[:100]}. Mend config.json."
            if isinstance(error, KeyError)
            else str(error)
        )
        raise InputError(f"{settings.model.model_name_or_path or settings.script.preset}: {told}") from error
    except RuntimeError as error:
        name = settings.model.model_name_or_path
        if name is None or not is_misfit(error):
            raise
        raise InputError(f"The model {name} could not be loaded: {why_unreadable(name, error)}") from error
