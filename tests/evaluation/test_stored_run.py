"""A run's folder that is damaged, or another program's, is refused by file and line; nothing is scored in part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.evaluation.made_runs import answers, made_run, write_rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return made_run(write_rows(folder, 4), "run", answers("1101"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def change_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The record of a file, or of its second line, as `change` leaves it."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else ["", path.read_text()]
    record = json.loads(lines[1])
    changed = change(record)
    lines[1] = json.dumps(changed if isinstance(changed, list) else record)
    path.write_text("\n".join(lines) + "\n")


def refused(folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `score` and `compare` both say of a damaged run, in one line."""
    capsys.readouterr()
    assert run(["score", str(folder)]) == 2
    said = capsys.readouterr().err
    assert run(["compare", str(whole), str(folder)]) == 2
    assert said == capsys.readouterr().err
    assert len(said.splitlines()) == 1 and said.startswith("error: ") and len(said) < 700
    return said


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_answers_with_other_ends_of_lines_are_scored_and_compared(
    letter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(tmp_path, 2, gold=f"red{letter}")
    folder = made_run(data, "run", [f"red{letter}", f"a{letter}b"])
    assert run(["score", str(folder)]) == 0
    assert run(["compare", str(folder), str(folder)]) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:300], "samples.jsonl line 1 is not what `sightline eval` wrote: Invalid JSON"),
        (lambda whole: whole[:-1], "samples.jsonl: expected an end of line after its last sample"),
        (lambda whole: whole[: whole.index(b"\n") + 1], "the 4 items of custom that results.json counts, got 1"),
        (lambda whole: whole.replace(b"\n", b"\n" + bytes(40), 1), "samples.jsonl line 2 is not what"),
        (lambda whole: whole.replace(b"red", b"\xff\xfe", 1), "samples.jsonl line 1 is not what"),
        (lambda whole: whole.decode().encode("utf-16"), "samples.jsonl line 1 is not what"),
        (lambda whole: b"", "expected the 4 items of custom"),
        (lambda whole: whole + b"[" * 100_000 + b"\n", "samples.jsonl line 5 is not what"),
        (lambda whole: whole + whole, "is there more than once"),
    ],
)  # fmt: skip
def test_damaged_samples(
    content: Callable[[bytes], bytes], said: str, folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "samples.jsonl"
    path.write_bytes(content(path.read_bytes()))
    assert said in refused(folder, whole, capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(score="1.0x"), "at score"),
        (lambda record: record.update(options="AB"), "at options"),
        (lambda record: record.update(question={"a": 1}), "at question"),
        (lambda record: record.update(blind={"prediction": 3}), "at blind"),
        (lambda record: record.update(option_scores=[7]), "at option_scores.0"),
        (lambda record: record.pop("prediction"), "at prediction"),
        (lambda record: [record], "Input should be an object"),
        (lambda record: record.update(task="other"), "expected the 4 items of custom"),
    ],
)
def test_samples_of_other_kinds(
    change: Callable[[dict[str, Any]], Any], said: str, folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_json(folder / "samples.jsonl", change)
    assert said in refused(folder, whole, capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.pop("settings"), "at settings"),
        (lambda record: record.update(settings=[1]), "at settings"),
        (lambda record: record.update(model={"a": 1}), "at model"),
        (lambda record: record.update(duration_s="long"), "at duration_s"),
        (lambda record: record.update(tasks=["custom"]), "at tasks"),
        (lambda record: record["tasks"]["custom"].update(title=None), "at tasks.custom.title"),
        (lambda record: record["tasks"]["custom"].update(data="rows.jsonl"), "at tasks.custom.data"),
        (lambda record: record["tasks"]["custom"]["data"].update(notes=7), "at tasks.custom.data.notes"),
        (lambda record: record["provenance"].update(versions=[]), "at provenance.versions"),
        (lambda record: record["settings"].update(likelihood_norm="x"), "settings.likelihood_norm"),
        (lambda record: record.pop("tasks"), "its results.json names no tasks"),
        (lambda record: [record], "results.json is not what `sightline eval` wrote"),
    ],
)  # fmt: skip
def test_a_summary_of_other_kinds(
    change: Callable[[dict[str, Any]], Any], said: str, folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_json(folder / "results.json", change)
    assert said in refused(folder, whole, capsys)


@pytest.mark.parametrize("content", [b"", b"{", b"\xef\xbb\xbf{}", b"null", b"\x00" * 90, b"{}\n{}", b"[" * 100_000])
def test_a_damaged_summary_or_environment(
    content: bytes, folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "environment.json").write_bytes(content)
    assert run(["compare", str(whole), str(folder)]) == 2
    assert "environment.json is not what `sightline eval` wrote" in capsys.readouterr().err
    (folder / "environment.json").unlink()
    assert run(["compare", str(whole), str(folder)]) == 0
    (folder / "results.json").write_bytes(content)
    assert "results.json is not what `sightline eval` wrote" in refused(folder, whole, capsys)


@pytest.mark.parametrize("name", ["results.json", "samples.jsonl"])
def test_a_missing_file_or_a_folder_in_its_place(
    name: str, folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refused(folder, whole, capsys)
    (folder / name).mkdir()
    assert f"{name} is missing" in refused(folder, whole, capsys)
    (folder / name).rmdir()
    (folder / name).symlink_to(name)
    assert "cannot be read: Too many levels of symbolic links" in refused(folder, whole, capsys)


def test_items_whose_facts_are_not_those_of_their_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {
        '"custom"': '"mathvista_testmini"',
        '"facts": {': '"facts": {"answer_type": "float", ',
        '"red"': '"3.14"',
    }
    for name in ("results.json", "samples.jsonl"):
        text = (folder / name).read_text()
        for before, after in changes.items():
            text = text.replace(before, after)
        (folder / name).write_text(text)
    assert run(["score", str(folder), "--profile", "official"]) == 2
    assert "the items of mathvista_testmini do not hold what its scorer reads" in capsys.readouterr().err
