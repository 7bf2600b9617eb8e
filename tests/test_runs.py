"""Run folders: what they refuse, and that nothing in them is ever half-written."""

from __future__ import annotations

import dataclasses
import enum
import json
import re

import numpy as np
import pytest
import yaml

from sightline.errors import RunFolderError
from sightline.runs import RunFolder, plain_data, write_text


def test_a_new_run_writes_its_settings_and_its_environment(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    folder.begin({"beta": 0.1, "path": tmp_path})
    assert yaml.safe_load((folder.path / "config.yaml").read_text()) == {"beta": 0.1, "path": str(tmp_path)}
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["packages"]["torch"] and environment["python"] and "commit" in environment
    assert sorted(entry.name for entry in folder.path.iterdir()) == ["config.yaml", "environment.json"]


def test_checking_a_folder_creates_nothing(tmp_path):
    RunFolder(tmp_path / "run").check()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("trace", ["config.yaml", "metrics.jsonl", "report.html", "config.json", "checkpoint-5"])
def test_a_folder_with_another_run_or_a_model_is_refused_and_left_as_it_was(tmp_path, trace):
    (tmp_path / trace).write_text("precious")
    with pytest.raises(RunFolderError, match=f"holds another run .found {trace}.*--resume_from_checkpoint true, or"):
        RunFolder(tmp_path).begin({"beta": 0.2})
    assert [entry.name for entry in tmp_path.iterdir()] == [trace]
    assert (tmp_path / trace).read_text() == "precious"


def test_resuming_goes_on_in_the_folder_of_a_run_and_nowhere_else(tmp_path):
    RunFolder(tmp_path / "run").begin({"beta": 0.1})
    RunFolder(tmp_path / "run").begin({"beta": 0.2}, resume=True)
    assert "0.2" in (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(RunFolderError, match="holds no run"):
        RunFolder(tmp_path / "other").begin({}, resume=True)
    assert not (tmp_path / "other").exists()


def test_a_run_that_ended_before_its_first_step_leaves_a_page_that_does_not_stand_in_the_way(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin({"beta": 0.1}, begun={"beta": 0.1})
    for name in ("report.html", "training.json", "route.json"):
        folder.write_text(name, "{}")
    folder.begin({"beta": 0.2}, begun={"beta": 0.2})
    folder.append_metrics({"step": 1})
    with pytest.raises(RunFolderError, match="holds another run"):
        folder.begin({"beta": 0.3}, begun={"beta": 0.3})


def test_a_folder_with_other_files_only_is_fine_and_a_file_is_not(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder(tmp_path).begin({})
    with pytest.raises(RunFolderError, match="is a file. Choose a folder"):
        RunFolder(tmp_path / "notes.txt").check()


def test_metrics_come_back_in_order_and_a_line_cut_short_is_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_metrics({"step": 1, "loss": np.float32(0.5)})
    folder.append_metrics({"step": 2, "loss": float("nan")})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')
    assert folder.read_metrics() == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    folder.begin({}, resume=True)
    folder.append_metrics({"step": 3})
    assert [row["step"] for row in folder.read_metrics()] == [1, 2, 3]


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(tmp_path, monkeypatch):
    write_text(tmp_path / "a.json", "old")

    def full_disk(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("sightline.runs.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_file_of_the_longest_name_is_written(tmp_path):
    assert write_text(tmp_path / ("x" * 255), "all").read_text() == "all"


def test_a_command_that_goes_on_with_nothing_names_another_folder_alone(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"would overwrite\. Choose another --output_dir\.$"):
        RunFolder(tmp_path, resume_by="").check()


def test_records_enums_and_numbers_become_plain_data():
    class Route(enum.Enum):
        MASK = "mask"

    @dataclasses.dataclass(frozen=True)
    class Row:
        route: Route
        scores: tuple[float, ...]

    row = Row(Route.MASK, (1.0, float("inf")))
    assert plain_data({1: row, "n": np.int64(3), "on": True}) == {
        "1": {"route": "mask", "scores": [1.0, None]},
        "n": 3,
        "on": True,
    }


def test_a_run_that_ended_before_its_first_step_does_not_stand_in_the_way(tmp_path):
    begun = {"beta": 0.1}
    RunFolder(tmp_path / "run").begin(begun, begun=begun)
    RunFolder(tmp_path / "run").check()
    RunFolder(tmp_path / "run").check(resume=True)
    RunFolder(tmp_path / "run").append_metrics({"step": 1})
    with pytest.raises(RunFolderError, match="holds another run"):
        RunFolder(tmp_path / "run").check()


def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # as root may write anywhere
    with pytest.raises(RunFolderError, match=f"/ro/out cannot be written: {re.escape(str(tmp_path))} is"):
        RunFolder(tmp_path / "ro" / "out").check()


@pytest.mark.parametrize("content", [b'{"a": 1', b"[1]", b"\xff\xfe", b"a: [1"])
@pytest.mark.parametrize("name", ["begun.json", "config.yaml"])
def test_a_damaged_record_is_named(tmp_path, name, content):
    folder = RunFolder(tmp_path / "run")
    folder.begin({"a": 1}, begun={"a": 1})
    (folder.path / name).write_bytes(content)
    with pytest.raises(RunFolderError, match=rf"{name} is damaged \(.*Copy it again, or start anew"):
        folder.read_begun() if name == "begun.json" else folder.read_config()
