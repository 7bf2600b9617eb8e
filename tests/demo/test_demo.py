"""The demo: judging descriptions, collecting mistakes, and the whole story through the command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pytest

from sightline.cli.main import run
from sightline.data.worlds.descriptions import describe, description_errors
from sightline.data.worlds.questions import KINDS
from sightline.data.worlds.scene import world_scenes
from sightline.demo.preferences import write_preferences
from sightline.demo.settings import DemoConfig, training_settings
from sightline.demo.standing import error_shares, judge_descriptions
from sightline.runs import RunFolder
from sightline.types import Answer, ItemResult, Question, VqaRow

SCENES = world_scenes(1, 6, "train")


class Reciter:
    """An answerer that says prepared lines in turn."""

    name = "reciter"

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = list(lines)

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]:
        return [Answer(self._lines.pop(0)) for _ in questions]


def item(number: int, text: str) -> ItemResult:
    return ItemResult(f"item {number}", f"row {number}", "Describe the image.", ("",), text, 0.0)


def test_a_description_is_right_when_it_names_every_object_and_no_other():
    said = [describe(scene) for scene in SCENES]
    said[0], said[1] = "", f"{said[1]}; {', '.join(5 * ['red circle'])}"
    judged = judge_descriptions("model", [item(i, text) for i, text in enumerate(said)], SCENES)
    assert [result.score for result in judged.items] == [0, 0, 1, 1, 1, 1]
    assert error_shares(judged).accuracy.value == pytest.approx(2 / 6)


def test_pairs_reject_the_models_own_mistakes_and_altered_truths_where_it_made_none(tmp_path):
    said = [describe(scene) for scene in SCENES]
    said[2] = describe(SCENES[3])
    said[4] = ""
    rows = [VqaRow(f"row {i}", f"Describe the image {i}.", ("x",), id=f"d{i}") for i in range(len(SCENES))]
    counts = write_preferences(tmp_path / "pairs.jsonl", Reciter(said), rows, SCENES, lambda done, total: None)
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert (counts.own, counts.altered) == (1, 5), "an empty description is no mistake to learn from"
    for scene, pair in zip(SCENES, pairs, strict=True):
        assert pair["chosen"][0]["content"] == describe(scene)
        assert description_errors(scene, pair["rejected"][0]["content"]).objects_differ
    assert pairs[2]["rejected"][0]["content"] == said[2]
    assert pairs[5]["images"] == ["images/train-00005.png"]


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
    assert printed["accuracy"]["n"] == 144 and set(printed["questions"]["kinds"]) == set(KINDS)
    assert printed["pairs"]["own_mistakes"] + printed["pairs"]["altered_truths"] == 24
    low, high = printed["description_errors_change"]["interval"]
    assert low <= printed["description_errors_change"]["value"] <= high
    page = (folder / "report.html").read_text()
    assert "data:image/png;base64," in page and 'src="http' not in page
    picture = folder / "world" / "images" / "heldout-00000.png"
    assert run(["ask", str(folder / "model"), str(picture), "How many shapes are there?"]) == 0
