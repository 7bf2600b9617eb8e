"""What is known of a planned run, and findings about it, one sentence each, with advice."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from sightline.data.formats.converted import image_counts
from sightline.engine.selftest import RouteChoice
from sightline.inspection.lengths import RowsReport
from sightline.inspection.memory import MemoryEstimate
from sightline.inspection.modules import ModuleReport
from sightline.inspection.trial import Trial
from sightline.models.generation_settings import odd_settings
from sightline.training.plan import RunPlan

SHARED_MEMORY = "/dev/shm"  # where workers of the data loader hand batches over, on Linux
MANY, MOST = 0.1, 0.5  # shares of the rows: worth a word, and worth an end


@dataclass(frozen=True)
class Finding:
    """Something wrong with a run.

    Attributes:
        fails: the run would not start, or its hours would be wasted; otherwise it is worth a look.
    """

    text: str
    fails: bool = False


@dataclass(frozen=True)
class Stores:
    """What a run would store besides its model, in words; empty where it stores nothing of the kind."""

    features: str = ""
    references: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a run before it starts.

    Attributes:
        method: `sft` or `dpo`.
        max_length: the run's, with its `length_policy`.
        batch_rows: rows of a batch on one device, and batches of a step.
        batches_ahead: batches that workers of the data loader hold ready in shared memory.
        modules: with gradients where a step was made.
        trial: None where nothing could be tried.
        steps: optimizer steps of the whole run.
    """

    method: str
    data: str
    model: str
    max_length: int | None
    length_policy: str
    batch_rows: tuple[int, int]
    rows: RowsReport
    modules: tuple[ModuleReport, ...] = ()
    route: RouteChoice | None = None
    memory: MemoryEstimate | None = None
    trial: Trial | None = None
    steps: int = 0
    stores: Stores = Stores()
    batches_ahead: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def seconds(self) -> float:
        """Estimated time of all steps."""
        return self.steps * self.trial.step_seconds if self.trial else 0.0

    @property
    def failed(self) -> bool:
        """Whether the run would fail or be wasted."""
        return any(finding.fails for finding in self.findings)


def find_in_rows(plan: RunPlan, rows: RowsReport) -> Iterator[Finding]:
    """What the rows alone show."""
    limit, policy = plan.encoding.max_length, plan.encoding.length_policy
    if rows.answerless:
        silent = " TRL would train on them in silence, at a loss of 0.6931 and no gradient." if plan.preferences else ""
        yield Finding(
            f"max_length {limit:,} leaves no answer token of {rows.answerless:,} of {rows.rows:,} rows, and they "
            f"are refused.{silent} The longest row has {rows.longest:,} tokens: raise max_length, or set it to null.",
            fails=True,
        )
    if rows.refused > rows.answerless:
        yield Finding(
            f"max_length {limit:,} cuts {rows.refused - rows.answerless:,} of {rows.rows:,} rows where "
            f"length_policy {policy} refuses it ({rows.messages[0]})",
            fails=True,
        )
    if rows.dropped:
        yield Finding(
            f"{rows.dropped:,} of {rows.rows:,} rows are left out by max_length {limit:,} ({policy}); the "
            f"longest has {rows.longest:,} tokens.",
            fails=rows.dropped > MOST * rows.rows,
        )
    if rows.cut > MANY * rows.rows:
        what = "the end of their answer" if policy == "truncate" else "text of their prompt"
        yield Finding(
            f"{rows.cut:,} of {rows.rows:,} rows lose {what} to max_length {limit:,}: raise it, or set it to null."
        )
    if rows.broken:
        yield Finding(f"{rows.broken:,} of {rows.rows:,} rows cannot be used: {rows.messages[-1]}", fails=True)
    if rows.untrained:
        yield Finding(
            f"{rows.untrained:,} of {rows.rows:,} rows have no trained token: mend their answers, or drop them.",
            fails=True,
        )
    if not any(image_counts(plan.rows)):
        yield Finding(
            f"No row of {plan.name} has a picture: the run trains on text alone. Where there should be pictures, "
            "name their column image."
        )
    if not rows.kept:
        yield Finding(f"No row of {plan.name} trains.", fails=True)


def find_in_model(plan: RunPlan) -> Iterator[Finding]:
    """What the files of the model show that its steps do not."""
    if isinstance(plan.source.model, str):
        yield from map(Finding, odd_settings(plan.source.model, len(plan.source.processor.tokenizer)))


def find_in_run(plan: RunPlan, seen: Diagnosis) -> Iterator[Finding]:
    """What model and steps show."""
    if not any(module.trainable for module in seen.modules):
        text = "Nothing trains: every parameter is frozen. Unfreeze a module, or set use_peft to true."
        yield Finding(text, fails=True)
        return
    for module in seen.modules:
        if module.dead:
            yield Finding(
                f"The {module.name} trains ({module.trainable:,} parameters), but no gradient reaches it: the run "
                "would leave it as it is. Freeze it, or mend what cuts it off (a detach, a frozen input under "
                "re-entrant gradient checkpointing, weights that are all zero).",
                fails=True,
            )
    for module in seen.modules:
        if module.unreached:
            yield Finding(
                f"Parts of the {module.name} train, but no gradient reaches them: {', '.join(module.unreached[:3])}"
                f"{', ...' if len(module.unreached) > 3 else ''}. Layers that the model does not use are usual in a "
                "vision tower; freeze them to save memory."
            )
    if seen.trial is not None and not math.isfinite(seen.trial.loss):
        yield Finding(f"The loss of the first steps is {seen.trial.loss}: look at precision and data.", fails=True)
    yield from _of_memory(seen)
    yield from _of_shared_memory(seen)
    if seen.route is not None and seen.route.route == "plain" and plan.settings.training.share != "plain":
        yield Finding(f"Nothing is shared (route plain): {seen.route.reason}.")


def _of_memory(seen: Diagnosis) -> Iterator[Finding]:
    """Whether the step's peak fits the device with some room."""
    if seen.memory is None or not torch.cuda.is_available():
        return
    _, total = torch.cuda.mem_get_info()
    peak = max(seen.memory.peak, (seen.trial and seen.trial.peak_bytes) or 0)
    if peak >= 0.95 * total:
        yield Finding(
            f"The longest batch takes {peak / 2**30:.1f} of {total / 2**30:.1f} GiB: lower "
            "per_device_train_batch_size, or set gradient_checkpointing to true.",
            fails=True,
        )


def _of_shared_memory(seen: Diagnosis) -> Iterator[Finding]:
    """Whether shared memory holds the batches that workers make ahead."""
    if not seen.batches_ahead or seen.memory is None:
        return
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:  # not Linux
        return
    needed, each = seen.batches_ahead * seen.memory.inputs, seen.memory.inputs / 2**20
    if needed > free:
        yield Finding(
            f"{SHARED_MEMORY} has {free / 2**20:,.1f} MiB free, and the workers of each process make "
            f"{seen.batches_ahead} batches of up to {each:,.1f} MiB ahead, {needed / 2**20:,.1f} MiB: the run would "
            "end for want of room. Give it more (docker run --shm-size 8g, or --ipc=host), or lower "
            "dataloader_num_workers (0 needs none) or dataloader_prefetch_factor.",
            fails=seen.memory.inputs > free,
        )
