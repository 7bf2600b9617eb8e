"""Write checkpoints completely or not at all, whatever ends the run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.engine.selftest import RouteChoice
from sightline.pages.report import Card
from sightline.training.loss_window import LOSS_WINDOW, LossWindow
from sightline.training.row_guard import RowGuard
from sightline.training.sealed_trainer import SealedTrainer
from sightline.training.shared_work import SharedWork

NUMBERED = re.compile(r"checkpoint-(\d+)")  # not what somebody made of one, `checkpoint-2-merged` say
STAGING, REPLACED = ".checkpoint-*.partial", ".checkpoint-*.replaced"


class CheckpointTrainer(SealedTrainer):
    """Stands before transformers' Trainer, or one of TRL's, among the bases of ours.

    transformers (5.23) writes into `checkpoint-N` itself, and takes whatever is named like a checkpoint for one when it
    removes old ones, by their time, which a clock that goes back spoils.
    """

    route: RouteChoice | None = None
    shared_work: SharedWork | None = None
    row_guard: RowGuard | None = None
    _staging: Path | None = None
    _is_alone = False
    _loss_window: LossWindow | None = None

    def shown_rows(self) -> tuple[tuple[Card, ...], str]:
        """A few training rows for the run's page, and a sentence about them."""
        raise NotImplementedError

    @property
    def loss_window(self) -> LossWindow:
        """The losses since the last log, which checkpoints keep."""
        return self._loss_window or self._watch_losses()

    def _watch_losses(self) -> LossWindow:
        if self._loss_window is None:
            self._loss_window = LossWindow(self._read_losses, self._put_losses)
            self.add_callback(self._loss_window)
        return self._loss_window

    def _read_losses(self) -> dict[str, Any]:
        """The losses that were logged, and since then the loss and what TRL's trainers average beside it."""
        return {
            "logged": self._total_loss_scalar,
            "pending": self._tr_loss.clone(),
            "step": self._globalstep_last_logged,
            "metrics": {name: [float(value) for value in values] for name, values in self._train_metrics().items()},
            "tokens": getattr(self, "_total_train_tokens", 0),
        }

    def _put_losses(self, kept: dict[str, Any]) -> None:
        metrics = self._train_metrics()
        self._tr_loss += kept["pending"] - self._tr_loss
        self._globalstep_last_logged = kept["step"]
        self._total_train_tokens = kept["tokens"]
        metrics.clear()
        for name, values in kept["metrics"].items():
            metrics[name].extend(values)

    def _train_metrics(self) -> Any:
        return getattr(self, "_metrics", {}).get("train", {})

    def _get_output_dir(self, trial: Any) -> str:
        return str(super()._get_output_dir(trial)) if self._staging is None else str(self._staging)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Writes the checkpoint under a hidden name, and renames it when all processes are done."""
        folder, name = Path(self._get_output_dir(trial)), f"checkpoint-{self.state.global_step}"
        with self._staged(folder / f".{name}.partial") as staging:
            self.state.stateful_callbacks[LOSS_WINDOW] = self.loss_window.kept()
            super()._save_checkpoint(model, trial)
            self._find_best(folder, staging / name)
            self._wait()
            if self.args.should_save:
                _put_in_place(staging / name, folder / name)
            self._wait()
            if self.is_local_process_zero() and (staging / name).is_dir():  # a node with a disk of its own
                with contextlib.suppress(OSError):
                    (staging / name).rename(folder / name)
        if self.args.should_save and (self.args.save_total_limit or 0) > 0:
            self._remove_old(folder, self.args.save_total_limit)
        if self.args.push_to_hub and not self._is_alone:
            self._push_from_checkpoint(str(folder / name))

    def save_alone(self) -> None:
        """Writes a checkpoint of the last step in this process, which waits for no other; those may have failed."""
        strategy, self.args.save_strategy = self.args.save_strategy, "no"  # or all wait for the best checkpoint
        self._is_alone = self.args.world_size > 1
        try:
            self._save_checkpoint(self.model, None)
        finally:
            self._is_alone, self.args.save_strategy = False, strategy

    def store_flos(self) -> None:
        if not self._is_alone:  # they are summed over processes
            super().store_flos()

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self._staging is None:  # uploading goes on in the background, so it begins when the name is the last one
            super()._push_from_checkpoint(checkpoint_folder)

    def _init_training_state(self, *args: Any, **named: Any) -> tuple[int, int]:
        """What a killed run left half is removed when the next one begins; losses are watched from here on."""
        self._watch_losses()
        if self.args.should_save:
            remove_half_checkpoints(Path(self.args.output_dir))
        begin: tuple[int, int] = super()._init_training_state(*args, **named)
        return begin

    def _finalize_training(self, trial: Any, num_train_samples: Any, start_time: float) -> Any:
        """As transformers does, but of a limit of one it removes only checkpoints, not what was made of them."""
        limit = self.args.save_total_limit
        self.args.save_total_limit = None
        try:
            outcome = super()._finalize_training(trial, num_train_samples, start_time)
        finally:
            self.args.save_total_limit = limit
        best = self.state.best_model_checkpoint
        if self.args.should_save and limit == 1 and best is not None:
            for path in numbered(Path(self._get_output_dir(trial))).values():
                if not os.path.samefile(path, best):
                    shutil.rmtree(path, ignore_errors=True)
        return outcome

    @contextmanager
    def _staged(self, staging: Path) -> Iterator[Path]:
        self._staging = staging
        try:
            yield staging
        finally:
            self._staging = None
            if self.args.should_save:  # nothing of it is left where all went well
                shutil.rmtree(staging, ignore_errors=True)

    def _find_best(self, folder: Path, written: Path) -> None:
        """Names the best checkpoint by its place in the run's folder, here and in what was written."""
        if not self.state.best_global_step:
            return
        best = folder / f"checkpoint-{self.state.best_global_step}"
        if best.name == written.name or best.is_dir():
            self.state.best_model_checkpoint = str(best)
        if self.args.should_save:
            self.state.save_to_json(str(written / "trainer_state.json"))

    def _remove_old(self, folder: Path, limit: int) -> None:
        """Removes the oldest checkpoints by their steps; that of now and the best one stay."""
        found = numbered(folder)
        kept = found.keys() & {self.state.global_step, self.state.best_global_step}
        old = [path for step, path in sorted(found.items()) if step not in kept]
        for path in old[: max(0, len(found) - max(limit, len(kept)))]:
            shutil.rmtree(path, ignore_errors=True)

    def _wait(self) -> None:
        if not self._is_alone:
            self.accelerator.wait_for_everyone()


def numbered(folder: Path) -> dict[int, Path]:
    """The checkpoints of a run's folder by their steps."""
    found = ((NUMBERED.fullmatch(path.name), path) for path in folder.glob("checkpoint-*") if path.is_dir())
    return {int(name[1]): path for name, path in found if name is not None}


def remove_half_checkpoints(folder: Path) -> None:
    """Removes what a run that was killed while it wrote a checkpoint left under hidden names."""
    for pattern in (STAGING, REPLACED):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(written: Path, path: Path) -> None:
    """Renames a checkpoint; one of the same step that is there gives way, and is removed then."""
    replaced = path.with_name(f".{path.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(replaced)
    written.rename(path)
    shutil.rmtree(replaced, ignore_errors=True)
