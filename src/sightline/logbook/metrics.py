"""The logged numbers of a run by name and step, from metrics.jsonl or while it runs."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
