"""The four scripts that a newcomer starts from run one after the other, without a network, and are short."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from tests.examples.test_nlvr_sentences import EXAMPLES

SCRIPTS = ("sft_own_data", "dpo", "evaluate", "compare")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_a_page_and_says_how_it_is_run(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    assert f"\npython examples/{name}.py" in text.split('"""')[1]


@pytest.mark.slow
def test_the_scripts_train_align_evaluate_and_compare_in_turn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sft, dpo, evaluate, compare = (importlib.import_module(name).main for name in SCRIPTS)
    sft(["--steps", "25"])
    assert "The model says" in capsys.readouterr().out
    dpo(["--steps", "2"])
    assert "Pairs told apart" in capsys.readouterr().out
    evaluate(["--limit", "40"])
    evaluate(["runs/dpo", "--limit", "40", "--output_dir", "runs/dpo-scores"])
    shown = capsys.readouterr().out
    assert shown.count("score: accuracy") == shown.count("without pictures: accuracy") == 2
    compare([])
    assert "custom: accuracy" in capsys.readouterr().out


@pytest.mark.slow
def test_a_script_trains_on_rows_and_a_model_of_yours(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sft = importlib.import_module("sft_own_data").main
    sft(["--steps", "25", "--output_dir", str(tmp_path / "first" / "model")])
    rows = json.loads((tmp_path / "first" / "world" / "train.jsonl").read_text().splitlines()[0])
    own = {"image": str(Path(tmp_path, "first", "world", rows["image"])), "question": "What is this?", "answer": "red"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(own) + "\n")
    model, out = str(tmp_path / "first" / "model"), str(tmp_path / "second")
    sft(["--steps", "1", "--data", str(tmp_path / "rows.jsonl"), "--model", model, "--output_dir", out])
    assert "What is this?" in capsys.readouterr().out and (tmp_path / "second" / "config.json").is_file()
