"""Diagnose a run before you spend GPU time: rows, gradients, memory, time, stores, route."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sightline.data.encoding.preferences import shown_images
from sightline.inspection.findings import Diagnosis, Stores, find_in_model, find_in_rows, find_in_run
from sightline.inspection.lengths import RowsReport, report_rows
from sightline.inspection.memory import estimate_memory
from sightline.inspection.modules import report_modules
from sightline.inspection.trial import Batches, choose_batches, run_trial, trial_trainer
from sightline.training.evaluation_rows import check_evaluation
from sightline.training.forest_trainer import ForestTrainer
from sightline.training.plan import RunPlan, with_read_rows
from sightline.training.recipe import plan_recipe
from sightline.training.references import planned_rows
from sightline.training.row_test import choose_rows
from sightline.training.run import quiet_input_errors
from sightline.training.source import require_room_for
from sightline.training.stored_features import open_store

PREFETCH = 2  # torch's default of batches that a worker makes ahead

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


def diagnose_recipe(argv: Sequence[str], method: str | None, track: Track) -> Diagnosis:
    """The diagnosis of the run that `--config RECIPE --key value ...` describes.

    Raises:
        InputError: a setting, the data or the model cannot be used at all.
        MachineError: the weights alone do not fit into memory.
    """
    plan = plan_recipe(argv, method)
    require_room_for(plan.source, plan.settings)
    check_evaluation(plan.settings)
    return diagnose(plan, track)


def diagnose(plan: RunPlan, track: Track = lambda items, total, title: items) -> Diagnosis:
    """The diagnosis of a run; its settings are changed on the way, and serve for nothing else afterwards."""
    plan = with_read_rows(plan, track)
    assert plan.train.read is not None, "it was read just now"
    args = plan.settings.training
    accumulated, policy = args.gradient_accumulation_steps, plan.encoding.length_policy
    rows = report_rows(plan.train.read)
    model = plan.settings.model.model_name_or_path or plan.settings.script.preset or "a model in memory"
    seen = Diagnosis(
        plan.method,
        plan.name,
        model,
        plan.encoding.max_length,
        policy,
        (args.per_device_train_batch_size, accumulated),
        rows,
        steps=_planned_steps(plan, rows),
        batches_ahead=args.dataloader_num_workers * (args.dataloader_prefetch_factor or PREFETCH),
        findings=(*find_in_rows(plan, rows), *find_in_model(plan)),
    )
    if not rows.kept:
        return seen
    return _try(plan, seen, choose_batches(plan, plan.train.read), accumulated)


def _try(plan: RunPlan, seen: Diagnosis, batches: Batches, accumulated: int) -> Diagnosis:
    """The diagnosis with what a few steps of the run's own trainer show."""
    passes = planned_rows(plan.settings.training, seen.rows.kept) / seen.rows.kept
    with quiet_input_errors(plan.settings), trial_trainer(plan, batches) as trainer:
        seen = replace(
            seen,
            route=trainer.route,
            modules=report_modules(trainer.model, False),
            stores=_stores(plan, trainer, passes),
        )
        if not any(module.trainable for module in seen.modules):
            return replace(seen, findings=(*seen.findings, *find_in_run(plan, seen)))
        size = min(trainer.args.per_device_train_batch_size, len(trainer.train_dataset))
        memory = estimate_memory(trainer, [trainer.train_dataset[index] for index in range(size)])
        trial = run_trial(trainer, accumulated)
    seen = replace(seen, modules=trial.modules, memory=memory, trial=trial)
    return replace(seen, findings=(*seen.findings, *find_in_run(plan, seen)))


def _planned_steps(plan: RunPlan, rows: RowsReport) -> int:
    """Optimizer steps of the whole run on this machine."""
    args = plan.settings.training
    if args.max_steps > 0:
        return int(args.max_steps)
    items = float(rows.kept)
    if getattr(args, "packing", False):
        items = rows.tokens / (plan.encoding.max_length or 2048)
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    return math.ceil(math.ceil(items / batch) * args.num_train_epochs)


def _stores(plan: RunPlan, trainer: ForestTrainer, passes: float) -> Stores:
    """What the run would store, estimated for all of its images and pairs."""
    args = plan.settings.training
    references = ""
    if plan.preferences and args.reference_store == "on":
        references = (
            f"{len(plan.rows):,} rows have their reference scored once before training, and stored; no reference model "
            "is held in memory"
        )
    encoder = plan.encoder
    if trainer.route.route == "plain" or not {"image", "images"} & set(plan.rows.column_names):
        return Stores("", references)
    images_of = partial(shown_images, perturbation=plan.encoding.perturbation)
    measured = list(choose_rows(trainer.rows.train.dataset).routed)
    batch = encoder.encode_preferences(measured) if plan.preferences else encoder.encode_sft(measured)
    opened, reason = open_store(trainer.parts, batch, int(bool(references)), images_of)
    if opened is None:
        return Stores(f"not stored, since {reason}", references)
    _, estimate = opened
    extra = int(bool(references))
    estimate = replace(estimate, images=len(set(plan.image_keys)), passes=passes + extra)
    return Stores(f"{'' if estimate.pays else 'not '}stored: {estimate}", references)
