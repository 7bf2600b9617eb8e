"""Plan a training run once: settings, model, rows, their encoding, the family's facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sightline.data.encoding.checks import Track, read_rows
from sightline.data.encoding.row_pictures import image_keys
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.registry import Goal
from sightline.errors import DataError
from sightline.models.families import FAMILIES
from sightline.models.patches import patched_config
from sightline.training.arguments import TrainingSettings
from sightline.training.encoding import encoding_of
from sightline.training.planned_rows import PlannedRows
from sightline.training.rows import training_rows, unchecked_rows
from sightline.training.source import ModelSource
from sightline.types import FamilyFacts

SFT, DPO = "sft", "dpo"


@dataclass(frozen=True)
class RunPlan:
    """A training run before anything of it is made; its trainer, the doctor and the preview read the same one.

    Attributes:
        method: `sft` or `dpo`.
        source: model (or its name) and processor.
        train: the rows to train on.
        evaluation: those to evaluate on; None for none, and where they were not asked for.
        encoding: how rows become sequences.
        facts: of the model's family; None for one that is not in the table.
    """

    method: str
    settings: TrainingSettings
    source: ModelSource
    train: PlannedRows
    evaluation: PlannedRows | None
    encoding: EncodingSettings
    facts: FamilyFacts | None

    @property
    def rows(self) -> Any:
        """The dataset to train on, in TRL's columns, its pictures closed."""
        return self.train.dataset

    @property
    def name(self) -> str:
        """What messages call the rows to train on."""
        return str(self.train.name)

    @property
    def image_keys(self) -> list[str]:
        """Of each row to train on what tells its own images from those of others."""
        return image_keys(self.rows) if self.train.read is None else self.train.read.image_keys

    @property
    def preferences(self) -> bool:
        """Whether rows hold a chosen and a rejected answer."""
        return self.method == DPO

    @property
    def encoder(self) -> SequenceEncoder:
        """What reads the run's rows: the one that has read them, where one has, with what it remembers."""
        read = self.train.read
        return SequenceEncoder(self.source.processor, self.encoding) if read is None else read.encoder


def plan_run(settings: TrainingSettings, method: str, source: ModelSource, is_checked: bool = True) -> RunPlan:
    """The run of these settings from a model and processor that are there already.

    Args:
        is_checked: every row is read and checked, and rows to evaluate on are, too; else the rows of a single source
            are left to whoever looks at them, and a mixture's are checked as they are drawn.

    Raises:
        ConfigError: no dataset is named, or settings that do not go together.
        DataError: an unknown format, or rows that cannot be trained; names the first.
    """
    preferences = method == DPO
    encoding = encoding_of(settings.training, source.processor, preferences)
    encoder = SequenceEncoder(source.processor, encoding)
    goal: Goal = "preferences" if preferences else "sft"
    if is_checked:
        train, evaluation = training_rows(settings, goal, encoder)
    else:
        train, evaluation = unchecked_rows(settings, goal, encoder), None
    config = patched_config(source.model, settings.model.model_revision)
    facts = FAMILIES.get(config.model_type) if config is not None else None
    return RunPlan(method, settings, source, train, evaluation, encoding, facts)


def with_read_rows(plan: RunPlan, track: Track) -> RunPlan:
    """The plan, each of its rows read as training reads it, images by their sizes alone; those that are read stay so.

    Args:
        track: shows progress, as `read_rows` wants it.
    """
    if plan.train.read is not None:
        return plan
    read = read_rows(plan.rows, plan.name, plan.encoder, plan.preferences, track)
    return replace(plan, train=replace(plan.train, read=read))


def chosen_rows(plan: RunPlan, numbers: Sequence[int] | None, limit: int) -> list[int]:
    """The indices to look at: those named (from 0), else the first `limit`.

    Raises:
        DataError: there is no such row.
    """
    if numbers is None:
        return list(range(min(limit, len(plan.rows))))
    for number in numbers:
        if not 0 <= number < len(plan.rows):
            raise DataError(f"rows: expected numbers from 0 to {len(plan.rows) - 1}; got {number}. Rows count from 0.")
    return list(numbers)
