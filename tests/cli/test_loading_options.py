"""Options of loading on the command line: read by one decorator, recorded, and part of what a resumed run must have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.cli.main import run
from tests.tiny import picture, tiny_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    picture(0).save(tmp_path / "0.png")
    path = tmp_path / "test.jsonl"
    path.write_text("".join(f'{{"image": "0.png", "question": "what {word} ?", "answer": "a"}}\n' for word in "ab"))
    return path


def evaluated(model: Path, rows: Path, *options: str) -> int:
    output = ["--output_dir", str(rows.parent / "run"), "--max_new_tokens", "3", "--json"]
    return run(["eval", str(model), str(rows), *output, *options])


def test_a_run_keeps_its_options_and_goes_on_with_no_others(model: Path, rows: Path, capsys: Any) -> None:
    given = ["--dtype", "bfloat16", "--attn_implementation", "eager", "--processor_settings", "do_normalize=false"]
    assert evaluated(model, rows, *given) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["provenance"]["dtype"] == "torch.bfloat16" and printed["provenance"]["attention"] == "eager"
    expected = {"dtype": "bfloat16", "attn_implementation": "eager", "processor": {"do_normalize": False}}
    assert printed["settings"]["loading"].items() >= expected.items()
    assert yaml.safe_load((rows.parent / "run" / "config.yaml").read_text())["loading"].items() >= expected.items()
    assert evaluated(model, rows, *given, "--device", "cpu", "--resume") == 0
    journal = [path.read_text() for path in (rows.parent / "run" / "journal").iterdir()]
    for changed in (["--dtype", "float32"], ["--attn_implementation", "sdpa"], ["--processor_settings", ""]):
        assert evaluated(model, rows, *given, *changed, "--resume") == 2
        assert "holds a run that began with" in capsys.readouterr().err
    assert journal == [path.read_text() for path in (rows.parent / "run" / "journal").iterdir()] != []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda:7"], "device: cuda:7 is not here; torch"),
        (["--min_pixels", "4"], "min_pixels: the processor of"),
        (["--size", "wide"], "was given size wide"),
        (["--chat_template", "none.jinja"], "chat_template: expected a file with a jinja template, or plain"),
        (["--dtype", "int4"], "dtype: expected one of"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--dtype", "float16"], "dtype: a model at a server is loaded there"),
    ],
)
@pytest.mark.parametrize("verb", ["ask", "eval"])
def test_what_cannot_be_is_one_line(
    verb: str, options: list[str], message: str, model: Path, rows: Path, capsys: Any
) -> None:
    asked = [str(rows.parent / "0.png"), "what ?"] if verb == "ask" else [str(rows)]
    assert run([verb, str(model), *asked, *options]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said


def test_the_options_stand_below_a_heading_of_their_own(capsys: Any) -> None:
    for verb in ("ask", "eval"):
        assert run([verb, "--help"]) == 0
        options, _, loading = capsys.readouterr().out.partition("Loading the model:")
        assert "--adapter" in options and "--device_map" in loading and "--dtype" not in options
