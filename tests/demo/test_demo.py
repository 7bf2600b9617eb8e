"""The demo: judging descriptions, collecting mistakes, and the whole story through the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sightline.cli.main import run
from sightline.data.worlds.descriptions import PROMPT, describe, description_errors
from sightline.data.worlds.questions import KINDS
from sightline.data.worlds.scene import world_scenes
from sightline.demo.exam import DESCRIPTIONS, QUESTIONS, PairCounts, write_preferences
from sightline.demo.outcome import DemoOutcome, demo_report
from sightline.demo.settings import DemoConfig, training_settings
from sightline.evaluation.comparison.run import run_compare
from sightline.evaluation.outcome import RunResult, Said, outcome_of, write_outcome
from sightline.evaluation.requests import Asking
from sightline.evaluation.samples import sample_of
from sightline.evaluation.scores import judge_items
from sightline.evaluation.tasks.registry import load_task
from sightline.runs import RunFolder
from sightline.scoring.records import Item, Judged
from sightline.types import Answer

SCENES = world_scenes(1, 6, "train")


def described(said: Sequence[str]) -> list[Judged]:
    """The scenes with what was said of each, judged as the demo's task judges it."""
    task = load_task(DESCRIPTIONS)
    items = [Item(f"d{place}", "row", PROMPT, answers=(describe(scene),)) for place, scene in enumerate(SCENES)]
    return judge_items(task, items, map(Answer, said), "strict", Asking())


def test_a_description_is_right_when_it_names_every_object_and_no_other():
    said = [describe(scene) for scene in SCENES]
    said[0], said[1] = "", f"{said[1]}; {', '.join(5 * ['red circle'])}"
    assert [one.verdict.score for one in described(said)] == [0, 0, 1, 1, 1, 1]


def test_pairs_reject_the_models_own_mistakes_and_altered_truths_where_it_made_none(tmp_path):
    said = [describe(scene) for scene in SCENES]
    said[2] = describe(SCENES[3])
    said[4] = ""
    samples = [sample_of(DESCRIPTIONS, one, PROMPT, Answer(one.answer), None, None) for one in described(said)]
    counts = write_preferences(tmp_path / "pairs.jsonl", samples, SCENES)
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert (counts.own, counts.altered) == (1, 5), "an empty description is no mistake to learn from"
    for scene, pair in zip(SCENES, pairs, strict=True):
        assert pair["chosen"][0]["content"] == describe(scene)
        assert description_errors(describe(scene), pair["rejected"][0]["content"]).objects_differ
    assert pairs[2]["rejected"][0]["content"] == said[2]
    assert pairs[5]["images"] == ["images/train-00005.png"]


def made_outcome(folder: Path, before: str, after: str) -> DemoOutcome:
    """A demo whose models got the descriptions right that have a 1, and as many questions."""
    runs = {}
    for name, bits in (("trained", before), ("aligned", after)):
        said = [describe(scene) if bit == "1" else "" for scene, bit in zip(SCENES, bits, strict=True)]
        questions = [
            Item(str(place), "row", "Is it red?", answers=("yes",), category=("colour", "count")[place % 2])
            for place in range(len(bits))
        ]
        answered = [Answer("yes" if bit == "1" else "no") for bit in bits]
        asked = judge_items(load_task(QUESTIONS), questions, answered, "strict", Asking())
        tasks = {}
        for task, judged in ((QUESTIONS, asked), (DESCRIPTIONS, described(said))):
            told = [Said(one.item.question, Answer(one.answer), Answer("no")) for one in judged]
            about = {"title": task, "prompt": "sightline", "max_new_tokens": 8, "data": {"place": task}}
            tasks[task] = outcome_of(load_task(task), judged, told, "strict", Asking(), about, {})
        runs[name] = RunResult(name, vars(Asking()), {"versions": {}}, tasks)
        RunFolder(folder / name).begin({})
        write_outcome(runs[name], RunFolder(folder / name))
    comparison = run_compare(folder / "trained", folder / "aligned")
    return DemoOutcome(folder, runs["trained"], runs["aligned"], comparison, PairCounts(1, 5), ())


def test_figures_worked_by_hand(tmp_path):
    """Two of six right, then five: three improved and none worsened, McNemar 2 / 8; errors are what is not right."""
    outcome = made_outcome(tmp_path, "110000", "111110")
    figures = outcome.to_json()
    assert figures["accuracy"]["value"] == pytest.approx(2 / 6) and figures["accuracy_after"]["value"] == 5 / 6
    assert (figures["blind_accuracy"]["value"], figures["majority_accuracy"]["value"]) == (0, 1)
    assert figures["accuracy_change"]["value"] == -figures["description_errors_change"]["value"] == 0.5
    assert figures["description_errors"]["value"] == pytest.approx(4 / 6)
    accuracy, errors = outcome.accuracy_table(), outcome.errors_table()
    assert accuracy.rows[-1][:5] == ("all", "6", "33.3%", "83.3%", "+50.0")
    assert errors.rows[-1][:5] == ("all", "6", "66.7%", "16.7%", "-50.0")
    assert accuracy.caption == "3 improved, 0 worsened of 6; McNemar's exact test: p = 0.25"
    assert errors.caption == "3 mended, 0 spoilt of 6; McNemar's exact test: p = 0.25"
    assert outcome.questions_table().header[4:] == ("without pictures", "majority")
    assert [headline.value for headline in demo_report(outcome, ()).headlines] == ["33.3%", "+33.3", "-50.0", "+50.0"]


@pytest.mark.parametrize(
    ("before", "after", "tones"),
    [("000000", "111111", ("good", "good")), ("111111", "000000", ("bad", "bad")), ("101010", "110100", ("", ""))],
)
def test_a_change_is_coloured_only_where_it_is_certain(tmp_path, before, after, tones):
    headlines = demo_report(made_outcome(tmp_path, before, after), ()).headlines
    assert tuple(headline.tone for headline in headlines[2:]) == tones


@pytest.mark.parametrize("quick", [False, True])
def test_the_demo_trains_by_its_recipes_on_its_own_data(tmp_path, quick):
    config = DemoConfig(tmp_path / "demo", seed=7, quick=quick)
    look = training_settings(config, "look", "look", tmp_path / "look.jsonl")
    sft = training_settings(config, "sft", "trained", tmp_path / "rows.jsonl", tmp_path / "demo" / "look")
    dpo = training_settings(config, "dpo", "model", tmp_path / "pairs.jsonl", tmp_path / "demo" / "trained")
    assert look.script.preset == "nano"
    assert look.training.seed == sft.training.seed == dpo.training.seed == 7
    assert sft.script.dataset_name == str(tmp_path / "rows.jsonl")
    assert sft.model.model_name_or_path == look.training.output_dir
    assert dpo.model.model_name_or_path == sft.training.output_dir


def test_a_second_demo_in_one_folder_is_told(tmp_path, capsys):
    with RunFolder(tmp_path).at_work():
        assert run(["demo", "--quick", "--output_dir", str(tmp_path)]) == 2
    assert "another run is at work there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_holds_something_is_refused_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["demo", "--quick", "--output_dir", str(tmp_path)]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_the_quick_demo_tells_the_whole_story(tmp_path, capsys):
    folder = tmp_path / "demo"
    assert run(["demo", "--quick", "--seed", "3", "--json", "--output_dir", str(folder)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "results.json").read_text())
    assert printed["accuracy"]["n"] == 144 and set(printed["questions"]["categories"]) == set(KINDS)
    assert printed["pairs"]["own_mistakes"] + printed["pairs"]["altered_truths"] == 24
    low, high = printed["description_errors_change"]["interval"]
    assert low <= printed["description_errors_change"]["value"] <= high
    page = (folder / "report.html").read_text()
    assert "data:image/png;base64," in page and 'src="http' not in page
    picture = folder / "world" / "images" / "heldout-00000.png"
    assert run(["ask", str(folder / "model"), str(picture), "How many shapes are there?"]) == 0
