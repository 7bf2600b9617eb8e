"""Write metrics.jsonl, training.json and report.html while a run trains."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from datasets import IterableDataset
from transformers import TrainerCallback

from sightline.errors import Stopped
from sightline.launch.processes import say
from sightline.logbook.page import RunRecord, run_page
from sightline.logbook.story import (
    FAILED,
    FINISHED,
    SECONDS,
    STOPPED,
    TRAINING,
    Metrics,
    Story,
    earlier_parts,
    write_story,
)
from sightline.notation import read_json
from sightline.pages.report import REPORT, render_report
from sightline.runs import ENVIRONMENT, RunFolder, plain_data
from sightline.secrets import hidden, redact
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.collators import PreferenceCollator, ProcessorCollator
from sightline.training.stored_features import StoreKeeper

SHORTEST_WAIT_S = 5.0  # between two pages of a run that trains
MAX_SHARE = 0.01  # of a run's time that its pages may take
DATA_SETTINGS = ("dataset_name", "train_data")


def steady_times(logged: Mapping[str, Any], train_s: float, since_s: float) -> dict[str, Any]:
    """A logged record whose times a clock that was set meanwhile has not spoilt.

    Transformers (5.23) takes `train_runtime`, `eval_runtime` and what they divide from the wall clock. Times that are
    far from those of the steady clock, negative ones say, are replaced.

    Args:
        train_s: seconds since training began.
        since_s: seconds since the last step or record, in which whatever else was timed went on.
    """
    steady = dict(logged)
    for name, wall_s in logged.items():
        split, _, kind = name.rpartition("_")
        seconds = train_s if split == "train" else since_s
        if kind != "runtime" or not isinstance(wall_s, float) or abs(wall_s - seconds) <= max(2.0, seconds / 2):
            continue
        steady[name] = round(seconds, 4)
        for rate in (one for one in logged if one.startswith(f"{split}_") and one.endswith("_per_second")):
            steady[rate] = round(logged[rate] * wall_s / seconds, 3) if seconds else 0.0
    return steady


class RunLog(TrainerCallback):
    """Writes every logged record at once, and the page at the start, after steps and saves, and when the run ends.

    Pages keep apart by five seconds and by a hundred times what the last one took, so that they cost no run more than
    a hundredth of its time. Of several processes the first one writes.

    Attributes:
        metrics: what was logged so far, steps before the run was resumed among it.
    """

    def __init__(self, trainer: CheckpointTrainer, folder: RunFolder, title: str, said: Sequence[str]) -> None:
        self.metrics = Metrics()
        self._trainer, self._folder, self._title = trainer, folder, title
        self._said = said
        self._run: RunRecord | None = None
        self._seconds = self._mark = 0.0
        self._due = self._start = 0.0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever ends the run inside is on its page, too, as far as it is known."""
        try:
            yield
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        self.metrics = Metrics(self._folder.read_metrics())
        self._seconds = max(self.metrics[SECONDS].values, default=0.0)
        self._run = self._begun(args, state)
        self._write(TRAINING)
        self._mark = self._start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        self._seconds += now - self._mark
        if now >= self._due:
            self._write(TRAINING)
            now = time.perf_counter()
        self._mark = now

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            seconds = {SECONDS: round(self._seconds, 4)} if "loss" in logs else {}
            now = time.perf_counter()
            numbers = {name: _number(value) for name, value in logs.items()}
            steady = steady_times(numbers, now - self._start, now - self._mark)
            row = {"step": state.global_step, **steady, **seconds}
            self._folder.append_metrics(row)
            self.metrics.add(plain_data(row))
        self._mark = time.perf_counter()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._mark = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.perf_counter() >= self._due:
            self._write(TRAINING)
        self._mark = time.perf_counter()

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self._write(FINISHED)
        elif isinstance(error, KeyboardInterrupt | Stopped):
            self._write(STOPPED, "Ctrl-C" if isinstance(error, KeyboardInterrupt) else error.name)
        else:
            self._write(FAILED, f"{type(error).__name__}: {error}")

    def _begun(self, args: Any, state: Any) -> RunRecord:
        trainer = self._trainer
        given = self._folder.read_config()
        route = trainer.route
        story = Story(
            title=self._title,
            model=redact(str(getattr(trainer.model.config, "_name_or_path", "") or "a model built from scratch")),
            data=redact(_data_name(given)),
            max_steps=state.max_steps,
            rows_per_step=float(args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size),
            rows=_counts(trainer),
            route=route.route if route is not None else "",
            reason=redact(route.reason) if route is not None else "",
            references=_references(trainer.data_collator),
            said=tuple(redact(line) for line in self._said),
            parts=earlier_parts(self._folder.path, state.global_step),
            settings=hidden(plain_data(args.to_dict())),
        )
        try:
            samples, note = trainer.shown_rows()
        except Exception as error:  # a page must not end a run; a row that cannot be used ends it when its batch comes
            samples, note = (), f"The rows could not be shown: {type(error).__name__}: {redact(str(error))}"
        environment = read_json((self._folder.path / ENVIRONMENT).read_text(encoding="utf-8"))
        name = self._folder.path.absolute().name
        return RunRecord(name, story, self.metrics, given, environment, samples, note)

    def _write(self, state: str, told: str = "") -> None:
        """The page as of now; where it cannot be written, that is said, and training goes on."""
        if self._run is None:
            return
        start = time.perf_counter()
        try:
            story = dataclasses.replace(self._run.story, **self._now(), state=state, told=redact(told))
            write_story(self._folder, story)
            self._folder.write_text(REPORT, render_report(run_page(dataclasses.replace(self._run, story=story))))
        except Exception as error:
            say(f"{REPORT} could not be written, and training goes on without it: {type(error).__name__}: {error}")
            self._run = None
        took = time.perf_counter() - start
        self._due = time.perf_counter() + max(SHORTEST_WAIT_S, took / MAX_SHARE)

    def _now(self) -> dict[str, Any]:
        trainer = self._trainer
        keepers = (one for one in trainer.callback_handler.callbacks if isinstance(one, StoreKeeper))
        work, guard = trainer.shared_work, trainer.row_guard
        return {
            "step": trainer.state.global_step,
            "written": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "shared": work.so_far(sum(one.features.found for one in keepers)) if work is not None else None,
            "left_out": guard.left_out if guard is not None else 0,
        }


def _counts(trainer: CheckpointTrainer) -> dict[str, int | None]:
    """Rows to train and to evaluate on; None for those of a stream."""
    tested = trainer.eval_dataset
    parts = {"training": trainer.train_dataset}
    if tested is not None:
        parts |= (
            {f"evaluation {name}": part for name, part in tested.items()}
            if isinstance(tested, dict)
            else {"evaluation": tested}
        )
    return {name: None if isinstance(rows, IterableDataset) else len(rows) for name, rows in parts.items()}


def _references(collate: Any) -> tuple[int, int] | None:
    stored = collate.references if isinstance(collate, PreferenceCollator | ProcessorCollator) else None
    return None if stored is None else (stored.rows, stored.found)


def _data_name(given: Mapping[str, Any]) -> str:
    """What the settings call the rows; of a mixture each of its sources."""
    sources = [one.get("path") for one in given.get("datasets") or () if isinstance(one, Mapping)]
    return ", ".join(str(name) for name in (*(given.get(name) for name in DATA_SETTINGS), *sources) if name)


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
