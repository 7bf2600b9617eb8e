"""A model's card gets the scores of a run and keeps everything that it had; leaderboard entries are of whole tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from sightline.cli.main import run
from sightline.evaluation.tasks.registry import load_task
from tests.evaluation.made_runs import answers, made_run, write_lines, write_rows
from tests.tiny import picture

CARD = """---
language: no  # a language, not a truth value
license: apache-2.0
model-index:
- name: other
  results:
  - task:
      type: text-generation
    dataset:
      type: cais/mmlu
      name: MMLU
    metrics:
    - type: acc
      value: 61.5
      kept: yes
# a comment behind
tags:
- own
---

# Words

---
that stay
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return write_rows(folder)


def model_folder(tmp_path: Path, card: str = "") -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    if card:
        (folder / "README.md").write_text(card)
    return folder


def results_of(card: str) -> list[dict[str, Any]]:
    header = yaml.safe_load(card.split("---\n")[1])
    results: list[dict[str, Any]] = header["model-index"][0]["results"]
    return results


def test_a_card_keeps_what_it_had_to_the_letter(data: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, CARD)
    made_run(data, "run", answers("11100010"), "--card", str(folder))
    text = (folder / "README.md").read_text()
    new = text.splitlines()
    kept = ["language: no  # a language, not a truth value", "# a comment behind", "tags:", "# Words", "that stay"]
    assert all(line in new for line in kept)
    assert text.endswith(CARD[CARD.index("# a comment behind") :])
    assert text.startswith(CARD[: CARD.index("model-index")])
    first, ours = results_of(text)
    assert first["metrics"] == [{"type": "acc", "value": 61.5, "kept": True}]
    assert ours["task"] == {"type": "image-text-to-text"}
    assert (ours["dataset"]["name"], ours["dataset"]["type"]) == ("rows.jsonl", "custom")
    (metric,) = ours["metrics"]
    assert (metric["type"], metric["value"], metric["args"]["items"]) == ("accuracy", 50.0, 8)
    low, high = metric["args"]["interval_95"]
    assert 0 <= low < 50 < high <= 100
    ModelCard(text)  # reads as a card of the Hub


def test_a_second_run_on_the_same_items_replaces_its_numbers_alone(data: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, CARD)
    made_run(data, "first", answers("11100010"), "--card", str(folder))
    once = (folder / "README.md").read_text()
    made_run(data, "again", answers("11100010"), "--card", str(folder))
    assert (folder / "README.md").read_text() == once
    made_run(data, "second", answers("11111111"), "--card", str(folder))
    _, ours = results_of((folder / "README.md").read_text())
    assert [metric["value"] for metric in ours["metrics"]] == [100.0]
    made_run(data, "part", answers("11"), "--limit", "2", "--card", str(folder))
    values = [result["metrics"][0]["value"] for result in results_of((folder / "README.md").read_text())]
    assert values == [61.5, 100.0, 100.0], "the first two items are other data"


@pytest.mark.parametrize("card", ["", "# Only words\n", "---\nlicense: mit\n---\n# Words\n"])
def test_a_card_without_results_gets_them(data: Path, tmp_path: Path, card: str) -> None:
    folder = model_folder(tmp_path, card)
    finished = made_run(data, "run", answers("11100010"))
    assert run(["score", str(finished), "--card", str(folder)]) == 0
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n") and ("license: mit" in text) == ("license" in card)
    assert results_of(text)[0]["metrics"][0]["value"] == 50.0
    assert text.endswith(card.split("---\n")[-1]) and "# " in text


def test_leaderboard_entries_name_the_dataset_and_are_of_whole_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own rows have no dataset on the Hub; a benchmark from a file has one, unless items are missing."""
    picture(0).save(tmp_path / "0.png")
    questions = [("Is there a cat?", "yes"), ("Is there a dog?", "no")]
    rows = [
        {"question_id": str(number), "image": "0.png", "question": text, "answer": gold, "category": "random"}
        for number, (text, gold) in enumerate(questions)
    ]
    pope = write_lines(tmp_path / "pope.jsonl", rows)
    folder = model_folder(tmp_path)
    said = write_lines(
        tmp_path / "said.jsonl", [{"id": f"random-{number}", "prediction": "yes"} for number in range(2)]
    )
    asked = f"eval --tasks pope --data {pope} --predictions {said} --card {folder} --output_dir {tmp_path}".split()
    assert run([*asked[:-1], str(tmp_path / "part")]) == 0
    assert "pope is not in .eval_results: 2 items were asked, which is not all 9,000." in capsys.readouterr().err
    assert not (folder / ".eval_results").exists()
    whole = replace(load_task("pope"), rows=2)
    monkeypatch.setattr("sightline.evaluation.exchange.model_card.load_task", lambda name: whole)
    assert run([*asked[:-1], str(tmp_path / "whole")]) == 0
    monkeypatch.undo()
    (file,) = (folder / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    summary = json.loads((tmp_path / "whole" / "results.json").read_text())["tasks"]["pope"]
    headline, score = next(iter(summary["metrics"].items()))
    assert file.name == "sightline_pope.yaml" and entry.dataset_id.endswith("/POPE")
    assert entry.value == pytest.approx(100 * score["value"], abs=0.01)
    assert entry.notes is not None and f"pope: {headline}, 95% interval" in entry.notes
    made_run(write_rows(tmp_path), "own", answers("11100010"), "--card", str(folder))
    assert "custom is not in .eval_results: its rows belong to no dataset of the Hub." in capsys.readouterr().err


def test_a_folder_or_card_that_cannot_be_used_is_refused_first(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["eval", "--data", str(data), "--predictions", "none.jsonl", "--model", "m", "--card"]
    assert run([*asked, str(tmp_path / "nowhere")]) == 2
    assert "--card: expected a model's folder" in capsys.readouterr().err
    folder = model_folder(tmp_path, "---\nmodel-index: none\n---\n")
    assert run([*asked, str(folder)]) == 2
    assert "expected model-index to be a list of names and results" in capsys.readouterr().err
