"""`sightline compare` on runs of stored predictions: tables, JSON, page and messages, and no torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import run
from tests.evaluation.made_runs import answers, made_run, write_rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five of eight items better, one worse, one unparsed; two items have no prediction in the second run."""
    data = write_rows(tmp_path_factory.mktemp("runs"), count=10)
    return made_run(data, "sft", answers("0000011111")), made_run(data, "dpo", [*answers("1111101"), ""])


def test_tables_say_what_changed_and_what_a_difference_takes(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *map(str, runs), "--detect", "0.05"]) == 0
    printed = capsys.readouterr().out
    for said in (
        "rows.jsonl",
        "custom accuracy     10  50.0%  60.0%   +10.0",
        "A: sft",
        "items to see 5 points",
        "count         5",
        "better",
        "Reproduction check",
        "The model differs; data and scoring do not. Not known: prompt, decoding and",
    ):
        assert said in printed


def test_json_alone_is_on_stdout(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *map(str, runs), "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert record["tasks"]["custom"]["difference"] == pytest.approx(0.1)
    assert record["A"] == {"run": str(runs[0]), "label": "sft"}
    assert record["reproduction"]["aspects"]["model"]["status"] == "differs"
    assert "B against A" in printed.err


def test_a_folder_gets_the_record_and_a_page_with_both_answers_and_pictures(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", *map(str, runs), "--output_dir", str(tmp_path / "compared")]
    assert run(command) == 0
    record = json.loads((tmp_path / "compared" / "comparison.json").read_text())
    assert len(record["tasks"]["custom"]["flips"]) == 9
    page = (tmp_path / "compared" / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "http" not in page.replace("http://www.w3.org", "")
    shown = json.loads(page.split('<script type="application/json">')[1].split("</script>")[0])
    assert len(shown["samples"]) == 10 and len(shown["pictures"]) == 5
    first = shown["samples"][0]
    assert first["tag"] == "improved" and [answer["text"] for answer in first["answers"]] == ["blue", "red"]
    capsys.readouterr()
    assert run(command) == 2 and "holds another run" in capsys.readouterr().err


def test_a_page_without_its_pictures_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_rows(tmp_path)
    one, two = made_run(data, "a", answers("00001111")), made_run(data, "b", answers("11111111"))
    data.unlink()
    assert run(["compare", str(one), str(two), "--output_dir", str(tmp_path / "compared")]) == 0
    assert "custom: pictures are missing, as its rows cannot be read from here" in capsys.readouterr().err
    assert "pictures are missing" in (tmp_path / "compared" / "report.html").read_text()


def test_a_run_that_is_none_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(runs[0]), str(tmp_path)]) == 2
    assert "holds no results: results.json is missing" in capsys.readouterr().err


def test_a_page_of_a_run_scored_again_shows_its_pictures(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(["score", str(runs[1]), "--output_dir", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "report.html").read_text().count("data:image/png") == 5


def test_comparing_loads_no_torch(runs: tuple[Path, Path]) -> None:
    code = (
        f"import sys; from sightline.cli.main import run; assert run({['compare', *map(str, runs), '--json']}) == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]
