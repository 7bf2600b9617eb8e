"""What a training run logs: its record and progress (training.json), and its numbers by step (metrics.jsonl)."""

from __future__ import annotations

import dataclasses
import json
import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.runs import RunFolder

STORY = "training.json"
TRAINING, FINISHED, STOPPED, FAILED = "training", "finished", "stopped", "failed"
CUT = "nobody said how it ended: it was killed (kill -9, memory, power), or it trains still"


@dataclass(frozen=True)
class Part:
    """An earlier stretch of a run that was gone on with.

    Attributes:
        until: the step from which the next stretch went on.
        told: how it ended, as far as known.
    """

    until: int
    told: str


@dataclass(frozen=True)
class Shared:
    """What sharing saved in this process since the run was begun or resumed.

    Attributes:
        tokens_alone: tokens of the sequences, each as a row of its own.
        tokens_read: tokens that the model read.
        pictures_shown: pictures of the sequences.
        pictures_read: pictures that the batches held.
        features_stored: of these the ones whose features came from the store.
    """

    tokens_alone: int = 0
    tokens_read: int = 0
    pictures_shown: int = 0
    pictures_read: int = 0
    features_stored: int = 0


@dataclass(frozen=True)
class Story:
    """A training run as its page tells it.

    Attributes:
        title: what kind of training it is, "SFT".
        model, data: their names.
        state: training, finished, stopped or failed.
        told: how it ended; empty while it trains.
        step, max_steps: optimizer steps that are done, and that were to be done.
        written: when that was so, UTC.
        rows_per_step: rows that one step trains on, in all processes.
        rows: how many there are to train and to evaluate on; None where they are streamed.
        route, reason: how batches are run, and why; empty where there is only one way.
        references: pairs whose reference is stored, and how many of them were before the run; None without a store.
        left_out: rows that were left out of their batches.
        said: what the run said of its rows, stores and settings before its first step.
        parts: earlier stretches, where the run was resumed.
        settings: every setting with its value, secrets hidden.
    """

    title: str = "Training"
    model: str = ""
    data: str = ""
    state: str = TRAINING
    told: str = ""
    step: int = 0
    max_steps: int = 0
    written: str = ""
    rows_per_step: float = 0.0
    rows: Mapping[str, int | None] = field(default_factory=dict)
    route: str = ""
    reason: str = ""
    shared: Shared | None = None
    references: tuple[int, int] | None = None
    left_out: int = 0
    said: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_story(folder: Path) -> Story | None:
    """What the run in a folder last said of itself; None where it said nothing, as runs of earlier versions."""
    try:
        found = json.loads((folder / STORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    known = {one.name: found[one.name] for one in dataclasses.fields(Story) if found.get(one.name) is not None}
    try:
        known["parts"] = tuple(Part(**part) for part in known.get("parts", ()))
        if "shared" in known:
            known["shared"] = Shared(**known["shared"])
    except TypeError:  # of another version
        return None
    return Story(**{**known, "said": tuple(known.get("said", ()))})


def write_story(folder: RunFolder, story: Story) -> None:
    """training.json of a run's folder."""
    folder.write_json(STORY, story)


def earlier_parts(folder: Path, step: int) -> tuple[Part, ...]:
    """The stretches that a run has behind it that goes on from a step."""
    before = read_story(folder)
    if before is None or not step:
        return ()
    told = CUT if before.state == TRAINING else before.told
    return (*before.parts, Part(step, told))


SECONDS = "seconds"  # of training, without evaluations and saving, since the run began


@dataclass(frozen=True)
class Series:
    """One metric: steps and values, NaN where the value was not finite."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: float, value: float) -> None:
        """One point more; the value of a step that was logged before replaces that."""
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)

    @property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values as copies, so that points may still be added."""
        return np.array(self.steps), np.array(self.values)

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values, those that are finite."""
        steps, values = self.points
        finite = np.isfinite(values)
        return steps[finite], values[finite]

    @property
    def broken(self) -> np.ndarray:
        """The steps at which the value was not finite."""
        steps, values = self.points
        return steps[~np.isfinite(values)]

    @property
    def last(self) -> float:
        """The latest value that is finite; NaN where none is."""
        return next((value for value in reversed(self.values) if math.isfinite(value)), math.nan)


class Metrics:
    """All that a run logged: 100,000 records of 15 numbers take 25 MB."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._series: dict[str, Series] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """One record of metrics.jsonl; what is no number is left out, and null stands for one that is not finite."""
        step = row.get("step")
        if not isinstance(step, int | float) or isinstance(step, bool):
            return
        for name, value in row.items():
            if name == "step" or isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
                continue
            self._series.setdefault(name, Series()).add(float(step), math.nan if value is None else float(value))

    def __contains__(self, name: str) -> bool:
        return name in self._series

    def __getitem__(self, name: str) -> Series:
        return self._series.get(name) or Series()

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they were logged first."""
        return tuple(self._series)

    @property
    def last_step(self) -> int:
        """The latest step that anything was logged at; 0 where nothing was."""
        return int(max((series.steps[-1] for series in self._series.values()), default=0))

    def rate(self, of: str | float) -> Series:
        """How much of a metric that counts up, or of so many things a step, a second of training did."""
        steps, seconds = self[SECONDS].known
        counts = steps * of if not isinstance(of, str) else steps
        if isinstance(of, str):
            steps, mine, theirs = np.intersect1d(steps, self[of].known[0], return_indices=True)
            seconds, counts = seconds[mine], self[of].known[1][theirs]
        elapsed, done = np.diff(seconds, prepend=0.0), np.diff(counts, prepend=0.0)
        grows = (elapsed > 0) & (done > 0)  # a count begins anew where a run is resumed that did not keep it
        return Series(array("d", steps[grows]), array("d", done[grows] / elapsed[grows]))

    def tasks(self) -> tuple[str, ...]:
        """The tasks that were answered at evaluations, as `eval_TASK`: each logs what was unparsed, and errors."""
        found = (name.removesuffix("_unparsed") for name in self.names if name.endswith("_unparsed"))
        return tuple(task for task in found if f"{task}_errors" in self)

    def scores(self) -> tuple[str, ...]:
        """The metrics of tasks, without the ends of their intervals."""
        told = ("_low", "_high", "_unparsed", "_errors")
        return tuple(name for name in self.of_tasks() if not name.endswith(told))

    def of_tasks(self) -> tuple[str, ...]:
        """All that is logged of tasks."""
        tasks = tuple(f"{task}_" for task in self.tasks())
        return tuple(name for name in self.names if name.startswith(tasks)) if tasks else ()
