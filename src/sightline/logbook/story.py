"""The record of a training run and its progress, training.json, for the page and for `compare`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
