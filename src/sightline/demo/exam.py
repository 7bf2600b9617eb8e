"""The exam of the demo, about unseen scenes, and preference pairs from the mistakes that a model makes in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sightline.data.worlds.descriptions import describe, describe_falsely
from sightline.data.worlds.rows import WorldFiles, picture_name, preference_row
from sightline.data.worlds.scene import Scene
from sightline.demo.settings import DemoConfig
from sightline.evaluation.eval_config import CUSTOM, EvalConfig
from sightline.evaluation.items import Items
from sightline.evaluation.outcome import RunResult, TaskOutcome
from sightline.evaluation.run import benchmark_items, run_eval
from sightline.evaluation.samples import Sample
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.registry import load_task
from sightline.progress import progress_bar

QUESTIONS, DESCRIPTIONS = CUSTOM, "scene_descriptions"
MAX_ANSWER_TOKENS = 8

Exam = Sequence[tuple[Task, Items]]


def read_exam(config: DemoConfig, world: WorldFiles) -> Exam:
    """The held-out questions that are asked, and the descriptions of all held-out scenes."""
    questions, descriptions = replace(load_task(QUESTIONS), max_new_tokens=MAX_ANSWER_TOKENS), load_task(DESCRIPTIONS)
    return (
        (questions, load_items(questions, DataChoice(str(world.heldout), limit=config.size.questions))),
        (descriptions, load_items(descriptions, DataChoice(str(world.heldout_descriptions)))),
    )


def examine(model: Path, exam: Exam, output_dir: Path) -> RunResult:
    """What a model makes of an exam, with pictures and without."""
    tasks = tuple(task.name for task, _ in exam)
    return _run(EvalConfig(str(model), tasks, blind=True, output_dir=output_dir), exam)


def describe_training(model: Path, config: DemoConfig, world: WorldFiles) -> TaskOutcome:
    """How a model describes the first training scenes."""
    choice = DataChoice(str(world.train_descriptions), limit=config.size.described)
    settings = EvalConfig(str(model), (DESCRIPTIONS,), choice)
    return _run(settings, benchmark_items(settings)).tasks[DESCRIPTIONS]


def _run(settings: EvalConfig, exam: Exam) -> RunResult:
    with progress_bar("Answering") as progress:
        result = run_eval(settings, progress, read=lambda _: list(exam))
    assert result is not None, "the demo is one process"
    return result


@dataclass(frozen=True)
class PairCounts:
    """How many pairs were written.

    Attributes:
        own: the rejected description is what the model itself said.
        altered: it is the truth with an object invented or removed, because the model made no mistake.
    """

    own: int
    altered: int


def write_preferences(path: Path, described: Sequence[Sample], scenes: Sequence[Scene]) -> PairCounts:
    """One pair for each training scene; `described` is what the model said of them, in their order."""
    rng = np.random.default_rng(len(scenes))
    own = 0
    with path.open("w", encoding="utf-8") as lines:
        for index, (sample, scene) in enumerate(zip(described, scenes, strict=True)):
            mistaken = bool(sample.prediction) and sample.score == 0
            rejected = sample.prediction if mistaken else describe_falsely(scene, rng).text
            row = preference_row(picture_name("train", index), describe(scene), rejected, sample.id)
            lines.write(json.dumps(row) + "\n")
            own += mistaken
    return PairCounts(own, len(scenes) - own)
