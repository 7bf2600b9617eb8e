"""Options of loading on the command line: read by one decorator, recorded, and part of what a resumed run must have."""

from __future__ import annotations

import json
import shutil
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


def test_a_tokenizer_from_another_folder_stands_in_for_one_that_is_missing(
    model: Path, rows: Path, tmp_path: Path, capsys: Any
) -> None:
    bare, words = tmp_path / "bare", tmp_path / "words"
    shutil.copytree(model, bare)
    words.mkdir()
    for path in bare.glob("tokenizer*"):
        shutil.move(path, words / path.name)
    asked = ["ask", str(rows.parent / "0.png"), "what is the colour ?", "--max_new_tokens", "4"]
    answers = []
    for name in ([str(model)], [str(bare), "--tokenizer", str(words)]):
        assert run([asked[0], *name, *asked[1:]]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    for folder, message in ((tmp_path / "none", "there is no folder"), (rows.parent, "holds no tokenizer")):
        assert run([asked[0], str(bare), *asked[1:], "--tokenizer", str(folder)]) == 2
        assert f"tokenizer: {'' if 'no folder' in message else folder}" in (said := capsys.readouterr().err)
        assert message in said
    short = "--max_steps 1 --max_length null --use_cpu true --bf16 false --report_to none".split()
    run_folder = ["--output_dir", str(tmp_path / "run"), "--tokenizer", str(words)]
    assert run(["sft", str(bare), str(rows), *run_folder, *short]) == 0
    saved, given = (json.loads((one / "tokenizer.json").read_text()) for one in (tmp_path / "run", words))
    assert saved["model"] == given["model"]


def test_the_policy_of_a_synthesis_is_loaded_so_and_goes_on_so(
    model: Path, rows: Path, tmp_path: Path, capsys: Any
) -> None:
    out = ["--kind", "preferences", "--output_path", str(tmp_path / "pairs.jsonl"), "--max_new_tokens", "3"]
    asked = ["data", "synthesize", str(rows), *out, "--policy", str(model), "--chosen_from", "gold"]
    assert run([*asked, "--dtype", "bfloat16"]) == 0
    assert yaml.safe_load((tmp_path / "pairs.run" / "config.yaml").read_text())["loading"] == {"dtype": "bfloat16"}
    assert run([*asked, "--dtype", "bfloat16", "--device", "cpu"]) == 0
    capsys.readouterr()
    assert run([*asked, "--dtype", "float32"]) == 2
    assert "holds a run with loading {'dtype': 'bfloat16'}; got loading {'dtype': 'float32'}" in capsys.readouterr().err
    server = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--dtype", "float16"]
    assert run(["data", "synthesize", str(rows), *out, *server]) == 2
    assert "dtype: a model at a server is loaded there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sightline ask m p q --dtype b", ["bfloat16"]),
        ("sightline eval m rows --device_map ", ["auto"]),
        ("sightline ask m p q --device c", ["cpu", "cuda"]),
        ("sightline sft m rows --load_in_4", ["--load_in_4bit"]),
    ],
)
def test_a_shell_is_offered_their_values(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("_SIGHTLINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
    assert run([]) == 0
    assert capsys.readouterr().out.split() == expected
