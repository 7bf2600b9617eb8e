"""Plan a ViLT run once: settings, task, rows, and what the model starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.data.sources.bad_rows import BadRows, left_out
from sightline.data.sources.column_names import read_columns
from sightline.data.vilt.pictures import PictureShape, check_shapes
from sightline.data.vilt.sources import PictureCheck
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.vilt.start import Start, build_start, load_start, picture_shape
from sightline.training.vilt.settings import ViltDataArguments, ViltModelArguments, ViltSettings
from sightline.training.vilt.tasks import TASKS, Task

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size")


@dataclass(frozen=True)
class ViltPlan:
    """A ViLT run before anything of it is made.

    Attributes:
        task: makes its model, batches and losses.
        start: weights, configuration and processor.
        shape: what pictures are brought to.
        rows: those to train on.
        held_out: those to evaluate on; None for none.
    """

    settings: ViltSettings
    task: Task
    start: Start
    shape: PictureShape
    rows: list[Any]
    held_out: list[Any] | None


def plan_vilt(name: str, settings: ViltSettings) -> ViltPlan:
    """The run of these settings for the task `name`, its rows read and the heads of their pictures, too.

    Raises:
        ConfigError: settings that do not go together.
        DataError: rows that cannot be trained; names the first.
    """
    task, data = TASKS[name](settings), settings.data
    read = _Rows(task, str(data.train_data), True, data)
    start = _start(settings, task, read.rows)
    shape = picture_shape(start.processor)
    rows = read.fitting(shape)
    if len(rows) < len(read.rows):
        start = _start(settings, task, rows)  # whose vocabulary is of the rows that train
    held_out = _Rows(task, data.eval_data, False, data).fitting(shape) if data.eval_data else None
    return ViltPlan(settings, task, start, shape, rows, held_out)


class _Rows:
    """The rows of a file with the heads of their pictures read; bad ones are refused together, or left out and said."""

    def __init__(self, task: Task, source: str, is_training: bool, data: ViltDataArguments) -> None:
        self._task, self._source = task, source
        names = read_columns(data.columns, "columns")
        if not is_training and data.eval_columns is not None:
            names = read_columns(data.eval_columns, "eval_columns")
        self._check = PictureCheck(BadRows(data.skip_bad_rows), columns=names)
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
