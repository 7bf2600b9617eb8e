"""Run the demo: draw a world, train, evaluate, align on the model's own mistakes, evaluate again, compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.data.worlds.rows import WorldFiles, write_world
from sightline.data.worlds.scene import world_scenes
from sightline.demo.exam import describe_training, examine, read_exam, write_preferences
from sightline.demo.outcome import DemoOutcome, demo_report
from sightline.demo.settings import DemoConfig, Stages, training_settings
from sightline.errors import RunFolderError
from sightline.evaluation.comparison.run import run_compare
from sightline.pages.report import REPORT, render_report
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
    stages, scores = Stages(), config.output_dir / "scores"
    with stages.stage("Draw a world"):
        world = _write_world(config)
        exam = read_exam(config, world)
    with stages.stage("Build a model and teach it to see single shapes"):
        looked = run_sft(training_settings(config, "look", "look", world.look))
    with stages.stage("Train it on whole scenes and questions"):
        trained = run_sft(training_settings(config, "sft", "trained", world.train, looked.folder))
    with stages.stage("Evaluate on scenes it never saw"):
        before = examine(trained.folder, exam, scores / "trained")
    with stages.stage("Collect its mistakes"):
        described = describe_training(trained.folder, config, world)
        scenes = world_scenes(config.seed, config.size.described, "train")
        pairs = write_preferences(config.world / PAIRS, described.samples, scenes)
    with stages.stage("Align it with them"):
        aligned = run_dpo(training_settings(config, "dpo", "model", config.world / PAIRS, trained.folder))
    with stages.stage("Evaluate again"):
        after = examine(aligned.folder, exam, scores / "aligned")
        comparison = run_compare(scores / "trained", scores / "aligned")
    outcome = DemoOutcome(
        folder=config.output_dir,
        before=before,
        after=after,
        comparison=replace(comparison, labels=("trained", "aligned")),
        pairs=pairs,
        stages=tuple(stages.done),
        is_quick=config.quick,
    )
    run.write_json("results.json", outcome.to_json())
    run.write_text(REPORT, render_report(demo_report(outcome, exam)))
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
