"""Time several trainers on the same rows, interleaved in one process, and compare them by medians."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
import trl

import sightline.training  # noqa: F401  makes torchvision importable before TRL asks for image processors

from trl.trainer import utils as trl_utils  # isort: skip

OURS = "sightline"
TRL = "TRL as it is"
TRL_LABELLED = "TRL scoring labelled positions only"


@dataclass(frozen=True)
class Arm:
    """One trainer under test.

    Attributes:
        labelled_only: whether TRL's head scores labelled positions only, as it does on a GPU.
        epochs: how often a round passes over its rows.
        batch_rows: rows of a batch; all of a round's by default.
        packed_rows: the dataset's packed rows that hold each round's examples, where they are packed.
        accumulated: whether the batches of a round make one step, each token of the round weighing the same.
    """

    name: str
    trainer: Any
    labelled_only: bool = False
    epochs: int = 1
    batch_rows: int | None = None
    packed_rows: range | None = None
    accumulated: bool = False


@dataclass(frozen=True)
class Comparison:
    """How much longer a peer takes than Sightline for the same rows: the median of the rounds' ratios."""

    benchmark: str
    peer: str
    ratio: float
    lowest: float
    highest: float
    limit: float
    peer_seconds: float
    our_seconds: float
    largest_loss_difference: float


def compare(
    benchmark: str, arms: list[Arm], rounds: list[range], limits: dict[str, float], tolerance: float
) -> list[Comparison]:
    """Every arm trains on each round's rows of its dataset in turn; the first round warms up. Equal losses are
    asserted."""
    seconds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    losses: dict[str, list[float]] = {arm.name: [] for arm in arms}
    steps = {arm.name: stepper(arm) for arm in arms}
    for number, rows in enumerate(rounds):
        order = arms if number % 2 else arms[::-1]
        for arm in order:
            start = time.perf_counter()
            loss = steps[arm.name](rows)
            elapsed = time.perf_counter() - start
            losses[arm.name].append(loss)
            if number:
                seconds[arm.name].append(elapsed)
            print(f"  round {number} {arm.name}: {elapsed:.2f} s, loss {loss:.5f}", file=sys.stderr)
    results = []
    for arm in arms:
        if arm.name == OURS:
            continue
        ratios = [peer / ours for peer, ours in zip(seconds[arm.name], seconds[OURS], strict=True)]
        difference = max(abs(a - b) for a, b in zip(losses[arm.name], losses[OURS], strict=True))
        if difference > tolerance:
            raise AssertionError(f"{benchmark}: losses of {arm.name} and {OURS} differ by {difference:.2e}")
        results.append(
            Comparison(
                benchmark,
                arm.name,
                statistics.median(ratios),
                min(ratios),
                max(ratios),
                limits[arm.name],
                statistics.median(seconds[arm.name]),
                statistics.median(seconds[OURS]),
                difference,
            )
        )
    return results


def report(comparisons: list[Comparison], file: Path) -> None:
    """Print one line per peer and write them with the machine as JSON."""
    for row in comparisons:
        print(
            f"{row.benchmark}: {row.ratio:.2f} times {row.peer} ({row.lowest:.2f} to {row.highest:.2f}; "
            f"arithmetic limit {row.limit:.2f}; {row.peer_seconds:.2f} s against {row.our_seconds:.2f} s; "
            f"largest loss difference {row.largest_loss_difference:.1e})"
        )
    write_results([asdict(row) for row in comparisons], file)


def write_results(comparisons: list[dict[str, Any]], file: Path) -> None:
    """Comparisons as JSON, with the machine that they were made on."""
    machine = {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "trl": trl.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    content = {"machine": machine, "comparisons": comparisons}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def stepper(arm: Arm) -> Callable[[range], float]:
    """A function that trains on rows of the arm's dataset, reading and collating included, and returns the mean loss
    of its steps."""
    trainer = arm.trainer
    trainer.model.train()
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1  # what `train()` sets before it calls `training_step`
    for group in trainer.optimizer.param_groups:
        group["lr"] = trainer.args.learning_rate

    def train_round(rows: range) -> float:
        rows = arm.packed_rows or rows
        size = arm.batch_rows or len(rows)
        batches = [rows[start : start + size] for start in range(0, len(rows), size)] * arm.epochs
        return step(batches) if arm.accumulated else statistics.mean(step([batch]) for batch in batches)

    def step(batches: list[range]) -> float:
        with labelled_positions_only() if arm.labelled_only else contextlib.nullcontext():
            made = [trainer.data_collator([trainer.train_dataset[row] for row in batch]) for batch in batches]
            tokens = sum(int((batch["labels"][:, 1:] >= 0).sum()) for batch in made) if arm.accumulated else None
            loss = sum(
                float(trainer.training_step(trainer.model, trainer._prepare_inputs(batch), tokens)) for batch in made
            )
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        return loss

    return train_round


@contextlib.contextmanager
def labelled_positions_only() -> Iterator[None]:
    """TRL's fused head as on a GPU: it asks this function whether to gather the labelled positions first."""
    original = trl_utils._use_triton
    trl_utils._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = original


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
