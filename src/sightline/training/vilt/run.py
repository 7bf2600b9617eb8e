"""Run a ViLT training command: read and check the rows, start, train, save; `run_vilt` is the whole story."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.sources.bad_rows import BadRows, left_out
from sightline.data.sources.column_names import read_columns
from sightline.data.vilt.pictures import PictureReader, PictureShape, check_shapes
from sightline.data.vilt.sources import PictureCheck
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.vilt.start import Start, build_start, load_start, picture_shape
from sightline.runs import RunFolder
from sightline.training.begun import checkpoint_of
from sightline.training.loop import Prepared, Run, Trained, run_training, told_steps
from sightline.training.row_guard import RowGuard
from sightline.training.vilt.card import write_vilt_card
from sightline.training.vilt.rows import DrawnRows, PictureLoader
from sightline.training.vilt.settings import ViltDataArguments, ViltModelArguments, ViltSettings
from sightline.training.vilt.tasks import TASKS, Answering, Task
from sightline.training.vilt.trainer import ViltTrainer

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size")


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
    settings, task = run.settings, TASKS[name](run.settings)
    training, asked = settings.training, settings.model
    read = _Rows(task, str(settings.data.train_data), True, settings.data)
    start = _start(settings, task, read.rows)
    shape = picture_shape(start.processor)
    rows = read.fitting(shape)
    if len(rows) < len(read.rows):
        start = _start(settings, task, rows)  # whose vocabulary is of the rows that train
    held_out = None
    if settings.data.eval_data:
        held_out = _Rows(task, settings.data.eval_data, False, settings.data).fitting(shape)
    records = (settings.data, asked, settings.objectives, training)
    models = (asked.model_name_or_path, asked.vit, asked.bert)
    begun = run.begun_with(records, {"training": rows, "evaluation": held_out}, models)
    trainer = _trainer(task, settings, start, rows, held_out, shape)
    if run.is_resumed:
        run.processes.first_does(lambda: _check_same_model(checkpoint_of(training), trainer.model.config, start))

    def write_card(folder: RunFolder) -> None:
        if run.processes.first:
            write_vilt_card(folder, name, settings, start, trainer.model)

    return Prepared(trainer, begun, write_card)


class _Rows:
    """The rows of a file with the heads of their pictures read; bad ones are refused together, or left out and said."""

    def __init__(self, task: Task, source: str, is_training: bool, data: ViltDataArguments) -> None:
        self._task, self._source = task, source
        self._check = PictureCheck(BadRows(data.skip_bad_rows), columns=read_columns(data.columns, "columns"))
        self.rows = task.read(source, is_training, self._check)

    def fitting(self, shape: PictureShape) -> list[Any]:
        """Those whose pictures have a patch of that shape, which says how many there are.

        Raises:
            DataError: others have not, and are not to be left out.
        """
        bad = self._check.bad
        check_shapes(self._task.pictures(self.rows), shape, self._check)
        rows = [row for row in self.rows if not bad.holds(row.name)]
        bad.settle(len(rows))
        if bad.problems:
            say(left_out(self._source, bad.problems, len(bad.places)))
        shown = {picture for picture, _ in self._task.pictures(rows)}
        say(f"{self._source}: {len(rows):,} rows, {len(shown):,} distinct pictures.")
        return rows


def _start(settings: ViltSettings, task: Task, rows: list[Any]) -> Start:
    asked = settings.model
    if asked.model_name_or_path is not None:
        return _loaded_start(asked.model_name_or_path, asked, settings.given)
    return build_start(asked.sizes(), task.texts(rows), asked.vit, asked.bert, settings.training.seed)


def _loaded_start(name: str, asked: ViltModelArguments, given: Mapping[str, Any]) -> Start:
    """A ViLT to go on from. Its dropout and how new heads are drawn may be set anew; its sizes are what they are."""
    start = load_start(name)
    if "dropout" in given:
        start.config.hidden_dropout_prob = start.config.attention_probs_dropout_prob = asked.dropout
    if "initializer_range" in given:
        start.config.initializer_range = asked.initializer_range
    for size in SIZES:
        if size in given and getattr(asked, size) != getattr(start.config, size):
            raise ConfigError(
                f"{size}: {name} has {getattr(start.config, size)}, but the settings say {getattr(asked, size)}. "
                "Leave the setting out, or leave out model_name_or_path to start from scratch."
            )
    return start


def _trainer(
    task: Task,
    settings: ViltSettings,
    start: Start,
    rows: list[Any],
    held_out: list[Any] | None,
    shape: PictureShape,
) -> ViltTrainer:
    training, asked = settings.training, settings.data.rand_augment
    if training.eval_strategy != "no" and held_out is None:
        raise ConfigError(f"eval_strategy: '{training.eval_strategy}' needs rows to evaluate on. Set --eval_data.")
    model = task.build(start, rows)
    if isinstance(task, Answering):
        say(f"{len(task.answers):,} answers; {task.outside:,} of {len(rows):,} questions have none of them.")
    reader = PictureReader(shape)
    pictures = PictureLoader(reader, task.augments if asked is None else asked)
    collate = functools.partial(task.collate, tokenizer=start.processor.tokenizer, pictures=pictures)
    guard = RowGuard(skip=settings.data.skip_bad_rows)
    return ViltTrainer(
        task,
        guard,
        model=model,
        args=training,
        train_dataset=DrawnRows(rows, training.seed),
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
