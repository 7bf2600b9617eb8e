"""Files in lmms-eval's format have its keys and its formulas, and hashes that change with the data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.evaluation.exchange.lmms_eval_files import doc_hash, task_hash
from tests.evaluation.made_runs import answers, made_run, write_rows

EXPORT = ("--export", "lmms-eval")


def exported(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    (results,) = folder.glob("lmms-eval/*/*_results.json")
    (samples,) = folder.glob("lmms-eval/*/*_samples_custom.jsonl")
    assert results.name[:15] == samples.name[:15], "both carry one date"
    return json.loads(results.read_text()), [json.loads(line) for line in samples.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight items, two per picture: right 1 1, 1 0, 0 0, 1 0."""
    folder = tmp_path_factory.mktemp("made") / "data"
    folder.mkdir()
    return made_run(write_rows(folder), "run", answers("11100010"), *EXPORT)


def test_the_keys_are_those_of_lmms_eval(made: Path, shared: Path) -> None:
    results, samples = exported(made)
    theirs = json.loads((shared / "conformance" / "lmms_eval_results_example.json").read_text())
    assert theirs.keys() <= results.keys()
    assert theirs["config"].keys() == results["config"].keys()
    # What an example's task has and `custom` cannot: its Python functions and its few-shot texts.
    own = {"task", "dataset_path", "dataset_kwargs", "test_split", "num_fewshot", "metric_list", "output_type"}
    assert own | {"generation_kwargs", "repeats", "cluster_key", "metadata"} <= results["configs"]["custom"].keys()
    example = (shared / "conformance" / "lmms_eval_samples_example.jsonl").read_text().splitlines()[0]
    assert json.loads(example).keys() - {"acc", "yn_score"} <= samples[0].keys()
    named = {name.replace("acc", "accuracy", 1) for name in theirs["results"]["mini_yesno"] if "yn_score" not in name}
    assert results["results"]["custom"].keys() == named


def test_standard_errors_are_those_of_lmms_eval(made: Path) -> None:
    """Mean 1/2. Alone: sample deviation sqrt(8/4/7) over sqrt(8). By picture the sums of residuals are 1, 0, -1, 0:
    sqrt(1 + 1) / 8, without the factor 4 / 3."""
    found = exported(made)[0]["results"]["custom"]
    assert found["accuracy,none"] == 0.5
    assert found["accuracy_stderr,none"] == found["accuracy_stderr_clt,none"] == pytest.approx(math.sqrt(2 / 7 / 8))
    assert found["accuracy_stderr_clustered,none"] == pytest.approx(math.sqrt(2) / 8)


def test_the_formulas_of_the_hashes_are_those_of_lmms_eval(shared: Path) -> None:
    """The example's documents are all null, which its hashes show."""
    theirs = json.loads((shared / "conformance" / "lmms_eval_results_example.json").read_text())
    lines = (shared / "conformance" / "lmms_eval_samples_example.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert {record["doc_hash"] for record in records} == {doc_hash(None)}
    assert task_hash(records) == theirs["task_hashes"]["mini_yesno"]


def test_a_document_has_the_hash_of_its_content(made: Path) -> None:
    results, samples = exported(made)
    assert [record["doc_hash"] for record in samples] == [doc_hash(record["doc"]) for record in samples]
    assert len({record["doc_hash"] for record in samples}) == 8
    assert results["task_hashes"]["custom"] == task_hash(samples)
    assert samples[0]["doc"]["pictures"] == samples[1]["doc"]["pictures"] != samples[2]["doc"]["pictures"]
    assert [record["accuracy"] for record in samples] == [1, 1, 1, 0, 0, 0, 1, 0]
    assert samples[3] | {"target": "red", "filtered_resps": "blue", "resps": [["blue"]]} == samples[3]


def test_other_data_have_other_hashes(made: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    other = made_run(write_rows(tmp_path / "data", gold="blue"), "other", answers("11100010"), *EXPORT)
    assert exported(other)[0]["task_hashes"] != exported(made)[0]["task_hashes"]


def test_a_finished_run_is_exported_without_a_model(made: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = made_run(write_rows(tmp_path / "data"), "run", answers("11100010"))
    assert not (folder / "lmms-eval").exists()
    assert run(["score", str(folder), *EXPORT]) == 0
    again, before = exported(folder), exported(made)
    assert again[1] == before[1]
    assert again[0]["results"] == before[0]["results"]


def test_an_unknown_format_is_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", str(made), "--export", "lmms_eval"]) == 2
    assert "--export: expected lmms-eval; got 'lmms_eval'. Did you mean 'lmms-eval'?" in capsys.readouterr().err
