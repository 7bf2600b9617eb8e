"""Arguments of a command by place and by name, in any order."""

from __future__ import annotations

from typing import Any

import pytest
import typer.main

from sightline.cli.main import run
from sightline.cli.verbs import build_app
from sightline.errors import ConfigError

APP: Any = typer.main.get_command(build_app())


def read(*arguments: str) -> dict[str, Any]:
    """What the real parser makes of a command line."""
    name, *rest = arguments
    return dict(APP.commands[name].make_context(name, rest).params)


@pytest.mark.parametrize(
    ("typed", "model", "data"),
    [
        ("eval nano rows.jsonl", "nano", "rows.jsonl"),
        ("eval --model nano --data rows.jsonl", "nano", "rows.jsonl"),
        ("eval --data rows.jsonl nano", "nano", "rows.jsonl"),
        ("eval rows.jsonl --model_name_or_path nano", "nano", "rows.jsonl"),
        ("eval nano --tasks pope", "nano", None),
        ("eval --tasks pope --predictions answers.jsonl", "", None),
        ("eval --data rows.jsonl --predictions answers.jsonl", "", "rows.jsonl"),
    ],
)
def test_eval_takes_model_and_rows_by_place_and_by_name(typed: str, model: str, data: str | None) -> None:
    given = read(*typed.split())
    assert (given["model"], given["data"]) == (model, data)


def test_an_argument_that_cannot_be_left_out_is_named() -> None:
    with pytest.raises(ConfigError, match="expected model, which is missing"):
        read("ask", "--question", "What?")


def test_a_question_in_the_place_of_the_picture_is_told(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano/config.json").write_text("{}")
    assert run(["ask", "nano", "What is it?", "photo.jpg"]) == 2
    assert "image 'What is it?' not found." in (said := capsys.readouterr().err)
    assert "The picture stands before the question." in said
