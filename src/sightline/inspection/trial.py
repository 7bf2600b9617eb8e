"""Run a few real training steps: gradients by module, peak memory, seconds."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from sightline.data.encoding.checks import ReadRows
from sightline.inspection.modules import ModuleReport, count_bytes, report_modules
from sightline.training.forest_trainer import ForestTrainer
from sightline.training.plan import RunPlan
from sightline.training.references import uses_reference_store
from sightline.training.run import make_trainer
from sightline.training.sampler import order_seed
from sightline.training.sharing import grouping_sampler

STEPS = (
    4  # two on the longest batch (the first makes the optimizer's states), two on a typical one (the first warms up)
)
MAX_ACCUMULATED = 2  # batches of a step: more take time, and no more memory


@dataclass(frozen=True)
class Batches:
    """Rows of the two batches that are tried, as indices of the dataset."""

    longest: tuple[int, ...]
    typical: tuple[int, ...]


@dataclass(frozen=True)
class Trial:
    """What a few steps showed.

    Attributes:
        modules: with the gradients of the first step.
        peak_bytes: of the second step on the longest batch: weights, optimizer states and all that the step takes;
            None where this machine cannot tell.
        step_seconds: a step on a typical batch, with all batches that it accumulates.
        loss: mean over the steps.
    """

    modules: tuple[ModuleReport, ...]
    peak_bytes: int | None
    step_seconds: float
    loss: float


def choose_batches(plan: RunPlan, read: ReadRows) -> Batches:
    """The longest and a typical batch of an epoch, in the order in which training takes rows."""
    args, kept, keys = plan.settings.training, read.kept, read.image_keys
    tokens_N, of_images_N = read.counts_N["total"], read.counts_N["placeholders"]
    size, packing = args.per_device_train_batch_size, getattr(args, "packing", False)
    if packing and plan.encoding.max_length:
        size = math.ceil(size * plan.encoding.max_length * len(kept) / max(int(tokens_N[kept].sum()), 1)) + 1
    sampler = None
    shares = plan.facts is not None and args.share != "plain"
    if not plan.preferences and shares and args.train_sampling_strategy == "random" and not packing:
        sampler = grouping_sampler(plan.rows.select(kept), order_seed(args), [keys[index] for index in kept])
    if sampler is None:
        ordered = sorted(kept, key=lambda index: int(tokens_N[index]), reverse=True)
        middle = max(0, (len(ordered) - size) // 2)
        return Batches(tuple(ordered[:size]), tuple(ordered[middle : middle + size]))
    order = [kept[place] for place in sampler]
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    batches = batches[:-1] if len(batches) > 1 else batches

    def cost(batch: list[int]) -> int:
        """Tokens of the batch, those of each picture once."""
        pictures = {keys[index]: int(of_images_N[index]) for index in batch}
        return int((tokens_N - of_images_N)[batch].sum()) + sum(pictures.values())

    batches.sort(key=cost, reverse=True)
    return Batches(tuple(batches[0]), tuple(batches[len(batches) // 2]))


@contextlib.contextmanager
def trial_trainer(plan: RunPlan, batches: Batches) -> Iterator[ForestTrainer]:
    """The run's own trainer over the batches to try, each as often as its steps take it; nothing of it is kept.

    The settings of the plan are changed: they write to a temporary folder, save and log nothing, and do not learn.
    """
    args = plan.settings.training
    args.per_device_train_batch_size = min(args.per_device_train_batch_size, len(batches.longest))
    args.gradient_accumulation_steps = min(args.gradient_accumulation_steps, MAX_ACCUMULATED)
    each = 2 * args.gradient_accumulation_steps
    if plan.preferences:
        args.reference_store = "on" if uses_reference_store(args, plan.rows) else "off"
        args.image_margin_rows = 0
    args.save_strategy, args.eval_strategy, args.logging_strategy = (
        SaveStrategy.NO,
        IntervalStrategy.NO,
        IntervalStrategy.NO,
    )
    args.max_steps, args.learning_rate, args.max_grad_norm = STEPS, 0.0, 0.0
    args.report_to, args.push_to_hub, args.disable_tqdm, args.load_best_model_at_end = [], False, True, False
    # Workers would hand batches over in shared memory, whose room is compared, not tried.
    args.dataloader_num_workers, args.dataloader_prefetch_factor, args.dataloader_persistent_workers = 0, None, False
    args.feature_store, args.train_sampling_strategy, args.resume_from_checkpoint = "off", "sequential", None
    train, tried = plan.train, [*batches.longest * each, *batches.typical * each]
    read = train.read.select(tried) if train.read is not None else None
    train = replace(train, dataset=plan.rows.select(tried), read=read)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        args.output_dir = folder
        yield make_trainer(replace(plan, train=train, evaluation=None))


def run_trial(trainer: ForestTrainer, accumulated: int) -> Trial:
    """Steps of the trainer; `accumulated` is how many batches a step of the whole run takes."""
    meter = _Meter(trainer)
    trainer.add_callback(meter)
    trainer.remove_callback(PrinterCallback)
    outcome = trainer.train()
    scale = accumulated / trainer.args.gradient_accumulation_steps
    return Trial(meter.modules, meter.peak_bytes, meter.seconds[-1] * scale, outcome.training_loss)


class _Meter(TrainerCallback):
    """Reads gradients before the optimizer takes them, and time and memory of each step."""

    def __init__(self, trainer: ForestTrainer) -> None:
        self._trainer = trainer
        self.modules: tuple[ModuleReport, ...] = ()
        self.seconds: list[float] = []
        self.peak_bytes: int | None = None
        self._memory = DeviceMemory(next(trainer.model.parameters()).device)
        self._start = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            self._memory.start(self._lasting())
        self._start = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self.modules = report_modules(self._trainer.model, with_gradients=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._memory.wait()
        self.seconds.append(time.perf_counter() - self._start)
        if state.global_step == 2:
            self.peak_bytes = self._memory.peak()

    def _lasting(self) -> int:
        """Bytes of weights and optimizer states."""
        trainer = self._trainer
        models = [trainer.model, *filter(None, [getattr(trainer, "ref_model", None)])]
        tensors = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
        states = [value for state in trainer.optimizer.state.values() for value in state.values()]
        return count_bytes(iter([*tensors, *(value for value in states if isinstance(value, torch.Tensor))]))


class DeviceMemory:
    """The peak of memory between `start` and `peak`, in bytes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._base = self._lasting = 0

    def start(self, lasting: int) -> None:
        """Begin; on a CPU `lasting` bytes of tensors are there already and count as they are, for a process holds
        much besides them."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the largest resident set starts anew
            self._lasting, self._base = lasting, status_bytes("VmRSS")

    def peak(self) -> int | None:
        """The most since `start`; None where this system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return self._lasting + status_bytes("VmHWM") - self._base if self._base else None

    def wait(self) -> None:
        """Return when the device has done all it was asked."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def status_bytes(name: str) -> int:
    """A figure of this process in /proc/self/status, such as its resident set, `VmRSS`, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
