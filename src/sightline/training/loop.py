"""The loop of every training run: check, begin, train and save; if something ends it, leave a checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sightline.errors import DataError, MachineError, Stopped
from sightline.launch.processes import Processes, heard, joined_processes, say
from sightline.models.guarded import refused_pickles
from sightline.runs import RunFolder
from sightline.training.begun import begun_with, opened_folder, resume_same
from sightline.training.callbacks import ProgressBar, add_callbacks, require_reporters
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.failures import told_failure
from sightline.training.interruption import Interruption
from sightline.training.pushing import push_model
from sightline.training.restore import last_whole_checkpoint, step_of
from sightline.training.run_log import RunLog
from sightline.training.workers import dead_workers_named, found_no_room

RESUME = "--resume_from_checkpoint true --output_dir"


@dataclass(frozen=True)
class Trained:
    """What the loop did.

    Attributes:
        steps: optimizer steps that are done, those of the run that it went on with among them.
        first: of these the ones done before.
        since: the step after which losses are known, 0 as a rule.
        train_loss: mean loss of the steps after `since`.
        seconds: wall-clock time of this part.
    """

    steps: int
    first: int
    since: int
    train_loss: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """A run that is being prepared.

    Attributes:
        settings: those of a training command: `training`, and what was `given`.
        folder: where it will leave its model.
        processes: those that share it.
    """

    settings: Any
    folder: RunFolder
    processes: Processes

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on with one that was begun."""
        return bool(self.settings.training.resume_from_checkpoint)

    def begun_with(
        self,
        records: Sequence[Any],
        rows: Mapping[str, Any],
        models: Sequence[str | None],
        bad_rows_stay: bool = False,
    ) -> dict[str, Any]:
        """What the run begins with; for the arguments see `begun.begun_with` and `begun.resume_same`.

        Raises:
            RunFolderError: it is resumed, and began with something else.
        """
        training = self.settings.training
        begun = self.processes.first_does(lambda: begun_with(records, training, rows, *models))
        if not self.is_resumed:
            return begun
        return self.processes.first_does(partial(resume_same, self.folder, begun, training, bad_rows_stay))


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to train.

    Attributes:
        begun: what it begins with.
        files: what the run's folder is given when it begins, as JSON by name.
        write_card: leaves the model card.
        bad_row_advice: what may be done about a row that turns out bad in the middle.
    """

    trainer: CheckpointTrainer
    begun: Mapping[str, Any]
    write_card: Callable[[RunFolder], None]
    files: Mapping[str, Any] = field(default_factory=dict)
    bad_row_advice: str = ""


@dataclass(frozen=True)
class Finished:
    """What a run left.

    Attributes:
        folder: the run folder, which is also the model folder.
        trained: steps, mean loss and time.
    """

    folder: Path
    trainer: CheckpointTrainer
    trained: Trained


def run_training(settings: Any, title: str, prepare: Callable[[Run], Prepared]) -> Finished:
    """A training run of a command, whatever it trains: `prepare` plans it and makes its trainer.

    Args:
        settings: those of a training command: `training`, and what was `given`.
        title: of its progress.

    Raises:
        InputError: the data, the model or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt, Stopped: Ctrl-C, SIGTERM or SIGHUP; a checkpoint to resume from has been saved.
    """
    with joined_processes() as processes:
        run = Run(settings, RunFolder(Path(settings.training.output_dir)), processes)
        processes.first_does(lambda: run.folder.require_free(run.is_resumed))
        with told_start(run.is_resumed) as said:
            require_reporters(settings.training)
            prepared = prepare(run)
        with opened_folder(run.folder, settings, prepared.begun, processes) as checkpoint:
            for name, content in prepared.files.items() if processes.first else ():
                run.folder.write_json(name, content)
            with advised(prepared.bad_row_advice):
                trained = train_to_the_end(prepared.trainer, run.folder, title, checkpoint, said)
            prepared.write_card(run.folder)
            push_model(prepared.trainer, run.folder)
        return Finished(run.folder.path, prepared.trainer, trained)


@contextmanager
def advised(advice: str) -> Iterator[None]:
    """An error of a row ends with the advice."""
    try:
        yield
    except DataError as error:
        if advice:
            error.args = (f"{error} {advice}",)
        raise


@contextmanager
def told_start(is_resumed: bool) -> Iterator[list[str]]:
    """What a run does before it trains, and what it says of it; a signal that ends it meanwhile says that nothing is
    lost."""
    try:
        with heard() as said:
            yield said
    except (KeyboardInterrupt, Stopped):
        kept = "checkpoints are as they were, and the same command goes on" if is_resumed else "the same command starts"
        say(f"Ended before training: {kept} again.")
        raise


def train_to_the_end(
    trainer: CheckpointTrainer, folder: RunFolder, title: str, checkpoint: str | None, said: Sequence[str] = ()
) -> Trained:
    """Trains from the checkpoint, or from the start, and saves the model, in a folder that is this run's alone.

    A step that fails, a full disk or a signal leaves a checkpoint of the last whole step, as far as one can be written,
    and stderr says where it is and how to go on.

    Args:
        said: what the run said of its rows and settings before, for its page.

    Raises:
        InputError: a row that cannot be used was met.
        MachineError: the machine failed: a disk, its memory, a worker.
        KeyboardInterrupt: Ctrl-C.
        Stopped: SIGTERM or SIGHUP.
        Exception: anything else, as it was raised.
    """
    found_no_room()  # forgets what a late worker of another run in this process said
    first, start = step_of(checkpoint), time.perf_counter()
    bar, interruption = ProgressBar(title), Interruption(trainer)
    log = RunLog(trainer, folder, title, said)
    add_callbacks(trainer, (log, bar, interruption))
    with interruption.heard(), log.kept():
        try:
            with refused_pickles(checkpoint or str(folder.path)), dead_workers_named():
                outcome = trainer.train(resume_from_checkpoint=checkpoint)
        except BaseException as error:
            bar.close()
            _leave(trainer, folder, error, interruption)
            told = told_failure(error, f"{interruption.place}: ")
            if told is error:
                raise
            raise told from error
        seconds = time.perf_counter() - start
        if interruption.ends:
            say(f"Resume with {RESUME} {folder.path}")
            raise interruption.as_exception()
        _save_model(trainer, folder)
    if interruption.number is not None:  # it came when the last step was done, perhaps to one process of several
        say(f"The model is in {folder.path}.")
        raise interruption.as_exception()
    steps = outcome.global_step
    losses = trainer.loss_window
    return Trained(steps, first, losses.since, losses.mean_loss(outcome.training_loss, steps, first), seconds)


def told_steps(trained: Trained) -> str:
    """Steps, time and mean loss as a run's summary says them."""
    if trained.first >= trained.steps:
        return f"{trained.steps} steps were done before, none now"
    before = f", {trained.first} of them before," if trained.first else ""
    part = f" of steps {trained.since + 1} to {trained.steps}" if trained.since else ""
    return f"{trained.steps} steps{before} in {trained.seconds:.0f} s, mean loss {trained.train_loss:.4f}{part}"


def _leave(trainer: CheckpointTrainer, folder: RunFolder, error: BaseException, interruption: Interruption) -> None:
    """Writes a checkpoint where one can be written, and says what is kept and how to go on."""
    if trainer.args.should_save and not interruption.ends_at_once(error):
        try:
            interruption.save()
        except Exception as unsaved:
            reason = (str(told_failure(unsaved)) or type(unsaved).__name__).splitlines()[0]
            say(f"The checkpoint of step {trainer.state.global_step} could not be written: {reason}")
    if not trainer.is_world_process_zero():
        return
    last = last_whole_checkpoint(folder.path) if folder.path.is_dir() else None
    if last is None:
        say(f"{folder.path} holds no checkpoint: the same command starts again from step 0.")
    else:
        say(f"Kept: {last}. Resume with {RESUME} {folder.path}")


def _save_model(trainer: CheckpointTrainer, folder: RunFolder) -> None:
    """Leaves the trained model in the run's folder, whole, or says which checkpoint it can be saved from later.

    Raises:
        MachineError: it could not be written.
    """
    staging = folder.path / ".model.partial"
    try:
        trainer.save_model(str(staging), _internal_call=True)  # what is pushed is pushed when all is in its place
        if trainer.args.should_save:
            for path in sorted(staging.iterdir()):
                target = folder.path / path.name
                if target.is_dir():  # of the run that this one goes on with: chat templates, a further adapter
                    shutil.rmtree(target)
                path.replace(target)
    except Exception as error:
        told = told_failure(error)
        if not trainer.args.should_save or (told is error and not isinstance(error, MachineError)):
            raise
        last = last_whole_checkpoint(folder.path) if folder.path.is_dir() else None
        kept = f"Free space, then save it by {RESUME} {folder.path}: {last} is kept." if last else "Nothing is kept."
        raise MachineError(f"The model could not be saved: {told} {kept}") from error
    finally:
        if trainer.args.should_save:
            shutil.rmtree(staging, ignore_errors=True)
