"""The `sightline` command itself: help, version, errors as messages, exit codes."""

from __future__ import annotations

import importlib
import os

import pytest
import typer

from sightline import __version__
from sightline.cli import environment, main
from sightline.errors import DataError, MachineError


def test_help_lists_every_verb_of_the_table_with_a_sentence(capsys):
    assert main.run(["--help"]) == 0
    printed = capsys.readouterr().out
    listed = [line.split(None, 1) for line in printed.split("Commands:")[-1].splitlines() if line.strip()]
    described = {words[0] for words in listed if len(words) == 2}
    assert {verb.name for verb in main.VERBS} <= described


def test_version_is_printed(capsys):
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"sightline {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"), [(["train"], "No such command 'train'"), (["--fast"], "No such option")]
)
def test_bad_usage_exits_with_2(capsys, arguments, message):
    assert main.run(arguments) == 2
    assert message in capsys.readouterr().err


def app_that(action):
    """An application whose only command does `action`."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("go")(action)
    return lambda: app


def raising(error):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("train.jsonl row 12: no answer."), 2, "error: train.jsonl row 12: no answer.\n"),
        (MachineError("The disk is full."), 1, "error: The disk is full.\n"),
        (
            NotADirectoryError(20, "Not a directory", "photo.jpg/runs"),
            2,
            "error: photo.jpg/runs: Not a directory. Name another path, or mend this one.\n",
        ),
    ],
)
def test_errors_become_a_message_and_an_exit_code(capsys, monkeypatch, error, code, message):
    monkeypatch.setattr(main, "build_app", app_that(raising(error)))
    assert main.run(["go"]) == code
    assert capsys.readouterr().err == message


def test_an_interrupt_exits_with_130(monkeypatch):
    monkeypatch.setattr(main, "build_app", app_that(raising(KeyboardInterrupt())))
    assert main.run(["go"]) == 130


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), FileExistsError("a bug")])
def test_an_unexpected_error_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(main, "build_app", app_that(raising(error)))
    with pytest.raises(type(error), match="a bug"):
        main.run(["go"])


def test_what_the_user_set_in_the_environment_stays(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    environment.set_quiet_defaults()
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    assert os.environ["MPLBACKEND"] == "Agg"


@pytest.mark.parametrize("verb", main.VERBS, ids=lambda verb: verb.name)
def test_each_verb_is_a_light_module_with_its_command(verb):
    module = importlib.import_module(f"sightline.cli.{verb.name}")
    for name in [inner.name for inner in verb.verbs] or [verb.name]:
        assert callable(getattr(module, f"{name}_command"))
