"""A model's card gets the scores of a run and keeps everything that it had; leaderboard entries are of whole tasks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from sightline.cli.main import run
from sightline.evaluation.items import Items, doubts
from sightline.evaluation.task import Source
from sightline.evaluation.tasks.pope import TASKS as pope_tasks
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Item
from tests.evaluation.made_runs import answers, made_run, write_lines, write_rows
from tests.evaluation.tasks.made import RED, write_tsv

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


def pope_file(folder: Path) -> tuple[Path, str]:
    """Two questions in VLMEvalKit's format, and the file's checksum."""
    rows = [
        {"index": number, "image": RED, "question": f"Is there a {name}?", "answer": gold, "category": "random"}
        for number, (name, gold) in enumerate([("cat", "yes"), ("dog", "no")])
    ]
    path = write_tsv(folder / "POPE.tsv", *rows)
    return path, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def publish(pope: Path, folder: Path, name: str, *flags: str) -> Path:
    """The folder of a run of stored answers that goes into a model's card and lmms-eval's files."""
    said = write_lines(pope.parent / "said.jsonl", [{"index": number, "prediction": "yes"} for number in range(2)])
    asked = f"eval --tasks pope --data {pope} --predictions {said} --card {folder} --model m --export lmms-eval"
    assert run([*asked.split(), "--output_dir", str(pope.parent / name), *flags]) == 0
    return pope.parent / name


def test_a_file_with_the_publishers_checksum_is_published_as_the_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pope, md5 = pope_file(tmp_path)
    task = load_task("pope")
    monkeypatch.setitem(pope_tasks, "pope", replace(task, sources=(*task.sources, Source("tsv", "POPE.tsv", md5=md5))))
    folder = model_folder(tmp_path)
    finished = publish(pope, folder, "whole")
    assert "not verified" not in capsys.readouterr().err
    (file,) = (folder / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    summary = json.loads((finished / "results.json").read_text())["tasks"]["pope"]
    headline, score = next(iter(summary["metrics"].items()))
    assert file.name == "sightline_pope.yaml" and entry.dataset_id.endswith("/POPE")
    assert entry.value == pytest.approx(100 * score["value"], abs=0.01)
    assert entry.notes is not None and f"pope: {headline}, 95% interval" in entry.notes
    (card,) = results_of((folder / "README.md").read_text())
    assert (card["dataset"]["name"], card["dataset"]["type"]) == ("POPE", entry.dataset_id)
    (exported,) = (finished / "lmms-eval").glob("*/*_results.json")
    assert json.loads(exported.read_text())["results"].keys() == {"pope"}


@pytest.mark.parametrize(
    ("flags", "checksum", "reason"),
    [
        ((), "0" * 32, "POPE.tsv has no checksum that its publisher names"),
        (("--limit", "1"), "", "--limit asked for the first 1"),
    ],
)
def test_what_is_not_the_whole_benchmark_is_published_nowhere_under_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...], checksum: str, reason: str,
) -> None:  # fmt: skip
    pope, md5 = pope_file(tmp_path)
    task = load_task("pope")
    source = Source("tsv", "POPE.tsv", md5=checksum or md5)
    monkeypatch.setitem(pope_tasks, "pope", replace(task, sources=(*task.sources, source)))
    folder = model_folder(tmp_path)
    finished = publish(pope, folder, "run", *flags)
    told = capsys.readouterr().err
    assert "pope is not in .eval_results: its data are not verified: " in told and reason in told
    assert "pope: not verified as the whole benchmark: " in told
    assert not (folder / ".eval_results").exists()
    (card,) = results_of((folder / "README.md").read_text())
    assert card["dataset"]["type"] == "pope_unverified"
    assert card["dataset"]["name"] == f"POPE.tsv, {2 - len(flags) // 2} items, not verified as POPE"
    (exported,) = (finished / "lmms-eval").glob("*/*_results.json")
    assert json.loads(exported.read_text())["results"].keys() == {"pope_unverified"}
    assert [path.name[15:] for path in (finished / "lmms-eval").glob("*/*.jsonl")] == ["_samples_pope_unverified.jsonl"]


def test_a_run_scored_again_stays_unverified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pope, _ = pope_file(tmp_path)
    folder = model_folder(tmp_path)
    finished = publish(pope, folder, "run")
    assert run(["score", str(finished), "--profile", "vlmevalkit", "--card", str(folder)]) == 0
    assert "its data are not verified" in capsys.readouterr().err
    assert not (folder / ".eval_results").exists()


@pytest.mark.parametrize(
    ("source", "doubt"),
    [
        (Source("hub", "lmms-lab/POPE", split="test", revision="1" * 40), ""),
        (Source("hub", "lmms-lab/POPE", split="test"), "the revision of lmms-lab/POPE is not known"),
        (Source("hub", "lmms-lab/POPE", split="train", revision="1" * 40), "lmms-lab/POPE is not one of its sources"),
        (Source("hub", "me/POPE", split="test", revision="1" * 40), "me/POPE is not one of its sources"),
        (Source("file", "lmms-lab/POPE"), "lmms-lab/POPE has no checksum that its publisher names"),
    ],
)
def test_a_source_is_verified_by_place_and_revision_or_by_checksum(source: Source, doubt: str) -> None:
    task = replace(load_task("pope"), rows=1)
    items = Items((Item("1", "row 1", "?"),), source, "")
    assert doubts(task, items, None) == ((doubt,) if doubt else ())
    assert doubts(load_task("custom"), items, None) == (), "rows of one's own claim nothing"


def test_bad_rows_and_other_numbers_of_items_are_doubts() -> None:
    source = Source("hub", "lmms-lab/POPE", split="test", revision="1" * 40)
    items = Items((Item("1", "row 1", "?"),), source, "", bad_rows=("row 2 is bad",))
    assert doubts(load_task("pope"), items, None) == (
        "1 rows were left out",
        "there are 1 items, and the benchmark has 9,000",
    )


def test_rows_of_ones_own_have_no_leaderboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = model_folder(tmp_path)
    made_run(write_rows(tmp_path), "own", answers("11100010"), "--card", str(folder))
    assert "custom is not in .eval_results: its rows belong to no dataset of the Hub." in capsys.readouterr().err


def test_a_folder_or_card_that_cannot_be_used_is_refused_first(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").touch()
    asked = ["eval", "--data", str(data), "--predictions", str(tmp_path / "empty.jsonl"), "--model", "m", "--card"]
    assert run([*asked, str(tmp_path / "nowhere")]) == 2
    assert "--card: expected a model's folder" in capsys.readouterr().err
    folder = model_folder(tmp_path, "---\nmodel-index: none\n---\n")
    assert run([*asked, str(folder)]) == 2
    assert "expected model-index to be a list of names and results" in capsys.readouterr().err
