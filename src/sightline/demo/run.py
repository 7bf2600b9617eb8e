"""Run the demo: draw a world, train, evaluate, align on the model's own mistakes, evaluate again, compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.answering.local import LocalAnswerer
from sightline.data.sources.datasets import read_dataset
from sightline.data.worlds.rows import WorldFiles, write_world
from sightline.data.worlds.scene import world_scenes
from sightline.demo.outcome import DemoOutcome
from sightline.demo.preferences import PairCounts, write_preferences
from sightline.demo.report import demo_report
from sightline.demo.settings import DemoConfig, training_settings
from sightline.demo.stages import Stages
from sightline.demo.standing import MAX_ANSWER_TOKENS, Exam, Standing, find_standing
from sightline.errors import RunFolderError
from sightline.evaluation.baselines import majority_baseline
from sightline.evaluation.results import EvalResult
from sightline.evaluation.rows import DatasetRows, read_vqa_rows
from sightline.evaluation.vqa import evaluate
from sightline.models.load import load_vlm
from sightline.pages.report import render_report
from sightline.progress import progress_bar
from sightline.runs import LOCK, RunFolder
from sightline.training.run import run_dpo, run_sft

PAIRS = "mistakes.jsonl"


def run_demo(config: DemoConfig) -> DemoOutcome:
    """The whole story; the folder gets the world, both models, `results.json` and `report.html`.

    Raises:
        RunFolderError: the folder holds something already, or another demo is at work there.
    """
    run = RunFolder(config.output_dir)
    _check_empty(config.output_dir)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    with run.at_work():
        _check_empty(config.output_dir)
        run.begin(vars(config))
        return _told(config, run)


def _told(config: DemoConfig, run: RunFolder) -> DemoOutcome:
    stages = Stages()
    with stages.stage("Draw a world"):
        world = _write_world(config)
        exam = _exam(config, world)
    with stages.stage("Build a model and teach it to see single shapes"):
        looked = run_sft(training_settings(config, "look", "look", world.look))
    with stages.stage("Train it on whole scenes and questions"):
        trained = run_sft(training_settings(config, "sft", "trained", world.train, looked.folder))
        answerer = LocalAnswerer(load_vlm(trained.folder))
    with stages.stage("Evaluate on scenes it never saw"):
        before = _ask("trained", answerer, exam)
        blind = _ask_blind(answerer, exam)
    with stages.stage("Collect its mistakes"):
        pairs = _write_pairs(config, world, answerer)
    with stages.stage("Align it with them"):
        aligned = run_dpo(training_settings(config, "dpo", "model", config.world / PAIRS, trained.folder))
    with stages.stage("Evaluate again"):
        after = _ask("aligned", LocalAnswerer(load_vlm(aligned.folder)), exam)
    outcome = DemoOutcome(
        folder=config.output_dir,
        before=before,
        after=after,
        blind=blind,
        majority=majority_baseline(exam.questions),
        pairs=pairs,
        stages=tuple(stages.done),
        example=exam.questions[0],
        is_quick=config.quick,
    )
    run.write_json("results.json", outcome.to_json())
    run.write_text("report.html", render_report(demo_report(outcome, exam)))
    return outcome


def _check_empty(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir())):
        raise RunFolderError(f"--output_dir {folder} holds something already. Remove it, or choose another folder.")


def _write_world(config: DemoConfig) -> WorldFiles:
    size = config.size
    return write_world(
        config.world,
        config.seed,
        size.train_scenes,
        size.heldout_scenes,
        questions=size.asked,
        look_scenes=size.look_scenes,
        caption_every=size.caption_every,
    )


def _exam(config: DemoConfig, world: WorldFiles) -> Exam:
    scenes = world_scenes(config.seed, config.size.heldout_scenes, "heldout")
    return Exam(_rows(world.heldout, config.size.questions), _rows(world.heldout_descriptions), scenes)


def _rows(path: Path, limit: int | None = None) -> DatasetRows:
    return read_vqa_rows(read_dataset(path), path, limit)


def _ask(label: str, answerer: LocalAnswerer, exam: Exam) -> Standing:
    with progress_bar("Answering") as progress:
        return find_standing(label, answerer, exam, progress)


def _ask_blind(answerer: LocalAnswerer, exam: Exam) -> EvalResult:
    with progress_bar("Answering without pictures") as progress:
        return replace(evaluate(answerer, exam.questions, True, MAX_ANSWER_TOKENS, progress), label="blind")


def _write_pairs(config: DemoConfig, world: WorldFiles, answerer: LocalAnswerer) -> PairCounts:
    scenes = world_scenes(config.seed, config.size.described, "train")
    with progress_bar("Describing") as progress:
        return write_preferences(
            config.world / PAIRS, answerer, _rows(world.train_descriptions, config.size.described), scenes, progress
        )
