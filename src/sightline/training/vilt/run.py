"""Run a ViLT training command: plan, trainer, loop, save; `run_vilt` is the whole story."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.vilt.pictures import PictureReader
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.vilt.start import Start, load_start
from sightline.runs import RunFolder
from sightline.training.begun import checkpoint_of
from sightline.training.loop import Prepared, Run, Trained, run_training, told_steps
from sightline.training.row_guard import RowGuard
from sightline.training.vilt.card import write_vilt_card
from sightline.training.vilt.plan import SIZES, ViltPlan, plan_vilt
from sightline.training.vilt.rows import DrawnRows, PictureLoader
from sightline.training.vilt.settings import ViltSettings
from sightline.training.vilt.tasks import Answering
from sightline.training.vilt.trainer import ViltTrainer


@dataclass(frozen=True)
class ViltResult:
    """What a run left: the folder, which is also the model folder, and what the loop did."""

    folder: Path
    trained: Trained

    @property
    def summary(self) -> str:
        """One line for the user."""
        return f"{told_steps(self.trained)}."


def run_vilt(name: str, settings: ViltSettings) -> ViltResult:
    """Train a ViLT for the task `name` (pretrain, vqa, retrieval, nlvr2) and leave a plain transformers folder.

    Raises:
        InputError: the data, the start or a setting cannot be used; nothing has been written then.
        KeyboardInterrupt, Stopped: Ctrl-C, SIGTERM or SIGHUP; a checkpoint to resume from has been saved.
    """
    finished = run_training(settings, f"ViLT {name}", functools.partial(_prepared, name=name))
    return ViltResult(finished.folder, finished.trained)


def _prepared(run: Run, name: str) -> Prepared:
    plan, settings = plan_vilt(name, run.settings), run.settings
    asked, training = settings.model, settings.training
    records = (settings.data, asked, settings.objectives, training)
    models = (asked.model_name_or_path, asked.vit, asked.bert)
    begun = run.begun_with(records, {"training": plan.rows, "evaluation": plan.held_out}, models)
    trainer = make_trainer(plan)
    if run.is_resumed:
        run.processes.first_does(lambda: _check_same_model(checkpoint_of(training), trainer.model.config, plan.start))

    def write_card(folder: RunFolder) -> None:
        if run.processes.first:
            write_vilt_card(folder, name, settings, plan.start, trainer.model)

    return Prepared(trainer, begun, write_card)


def make_trainer(plan: ViltPlan) -> ViltTrainer:
    """The trainer of a planned run.

    Raises:
        ConfigError: rows or answers are too few for the task.
    """
    task, settings, start, held_out = plan.task, plan.settings, plan.start, plan.held_out
    model = task.build(start, plan.rows)
    if isinstance(task, Answering):
        say(f"{len(task.answers):,} answers; {task.outside:,} of {len(plan.rows):,} questions have none of them.")
    asked, training = settings.data.rand_augment, settings.training
    pictures = PictureLoader(PictureReader(plan.shape), task.augments if asked is None else asked)
    collate = functools.partial(task.collate, tokenizer=start.processor.tokenizer, pictures=pictures)
    guard = RowGuard(skip=settings.data.skip_bad_rows)
    return ViltTrainer(
        task,
        guard,
        model=model,
        args=training,
        train_dataset=DrawnRows(plan.rows, training.seed),
        eval_dataset=DrawnRows(held_out, training.seed) if held_out is not None else None,
        data_collator=functools.partial(guard.batch, collate),
        processing_class=start.processor,
    )


def _check_same_model(checkpoint: str | None, config: Any, start: Start) -> None:
    """Nothing when the checkpoint's model is the one that this run would train, or there is no checkpoint.

    Raises:
        ConfigError: sizes, vocabulary or answers differ, as data or settings were changed since.
    """
    if checkpoint is None:
        return
    saved = load_start(checkpoint)
    vocabularies = [one.processor.tokenizer.get_vocab() for one in (saved, start)]
    found = {name: (getattr(saved.config, name), getattr(config, name)) for name in SIZES}
    found["words in the vocabulary"] = (len(vocabularies[0]), len(vocabularies[1]))
    found["answers"] = (saved.config.num_labels, config.num_labels)
    other = [f"{before} {name} (now {after})" for name, (before, after) in found.items() if before != after]
    if not other and (vocabularies[0] != vocabularies[1] or saved.config.id2label != config.id2label):
        other = ["other words or answers"]
    if other:
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} holds a model with {', '.join(other)}: data or settings changed "
            "since. Resume with those that the run began with, or start anew in another --output_dir."
        )
