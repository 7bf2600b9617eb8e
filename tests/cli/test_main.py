"""The `sightline` command itself: help, version, errors as messages, exit codes."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import typer

from sightline import __version__
from sightline.cli import main, process
from sightline.cli.verbs import VERBS
from sightline.config import PLACES
from sightline.errors import DataError, MachineError


def test_help_lists_every_verb_of_the_table_with_a_sentence(capsys):
    assert main.run(["--help"]) == 0
    printed = capsys.readouterr().out
    listed = [line.split(None, 1) for line in printed.split("Commands:")[-1].splitlines() if line.strip()]
    described = {words[0] for words in listed if len(words) == 2}
    assert {verb.name for verb in VERBS} <= described


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
            RuntimeError("Could not determine home directory."),
            1,
            "error: no home folder is known. Name one by HOME.\n",
        ),
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


def test_an_interrupt_says_so_and_exits_with_130(monkeypatch, capsys):
    monkeypatch.setattr(main, "build_app", app_that(raising(KeyboardInterrupt())))
    assert main.run(["go"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_an_interrupt_while_modules_are_imported_is_one_line(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "sightline", "tasks"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), FileExistsError("a bug")])
def test_an_unexpected_error_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(main, "build_app", app_that(raising(error)))
    with pytest.raises(type(error), match="a bug"):
        main.run(["go"])


def test_what_the_user_set_in_the_environment_stays(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    process.set_quiet_defaults()
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    assert os.environ["MPLBACKEND"] == "Agg"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_is_a_light_module_with_its_command(verb):
    module = importlib.import_module(f"sightline.cli.{verb.file or verb.name}")
    for name in [inner.name for inner in verb.verbs] or [verb.name]:
        assert callable(getattr(module, f"{name}_command"))


NO_PLACES = {
    "eval_columns",
    "task", "text", "question", "sentence", "endpoint", "judge", "kind", "export", "profile", "to", "rows", "limit",
    "skip_bad_rows", "preset", "split", "eval_split", "name", "top", "candidates", "compare", "report_pictures",
    "columns", "model_revision",
}  # fmt: skip


def parameters_of_all_commands():
    """(verb, name, parameter) of each option and argument of each command."""
    for verb in VERBS:
        for inner in verb.verbs or (verb,):
            command = inner.load(verb.name if verb.verbs else "")
            for name, parameter in inspect.signature(command).parameters.items():
                yield f"{verb.name} {inner.name}", name, parameter


def test_each_option_that_names_a_file_or_folder_is_known_as_a_place():
    """Those typed as paths, and texts whose help speaks of files, folders or the Hub."""
    for verb, name, parameter in parameters_of_all_commands():
        help_text = getattr(parameter.default, "help", None) or ""
        speaks = any(word in help_text.lower() for word in ("folder", "file", "hub id", "evaluation data"))
        is_text = "str" in str(parameter.annotation) and name not in NO_PLACES
        if "Path" in str(parameter.annotation) or (speaks and is_text):
            assert name in PLACES, f"{verb}: {name} is not in config.PLACES, so ~ and variables stay as they are"


def test_home_and_variables_are_expanded_in_paths_of_any_verb(tmp_path, monkeypatch, capsys):
    """The messages name what was looked for: nothing is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUN", "one")
    for arguments in (
        ["compare", "~/one", "~/two"],
        ["score", "${HOME}/${RUN}"],
        ["doctor", "--config=~/one.yaml"],
        ["data", "check", "~/one.jsonl"],
        ["data", "convert", "~/one.jsonl", "~/x.jsonl", "--to", "trl-sft"],
    ):
        assert main.run(arguments) == 2
        assert str(tmp_path / "home/one") in capsys.readouterr().err
    assert main.run(["compare", "~/one", "${NO_SUCH_RUN}"]) == 2
    assert "run_b uses ${NO_SUCH_RUN}, which is not set" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_folder_below_home_is_written_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text('{"question": "how many?", "answer": "two"}\n')
    main.run(["data", "check", "rows.jsonl", "--output_dir=~/010"])
    assert {path.name for path in Path(tmp_path).iterdir()} == {"rows.jsonl", "010"}


@pytest.mark.parametrize(("arguments", "code"), [(["tasks"], 0), (["no-such-verb"], 2)])
def test_one_process_of_several_ends_with_its_code_and_all_of_its_output(arguments, code):
    """Two processes end without taking the interpreter down, which must lose no line and no exit code."""
    command = [sys.executable, "-m", "sightline.cli.main", *arguments]
    alone, beside = (
        subprocess.run(command, env={**os.environ, "WORLD_SIZE": size}, capture_output=True, text=True, timeout=60)
        for size in ("1", "2")
    )
    assert (beside.returncode, beside.stdout, beside.stderr) == (code, alone.stdout, alone.stderr)
    assert len(alone.stdout + alone.stderr) > 100


def test_of_several_processes_the_first_says_what_is_wrong_with_the_line(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "unknown option --no_such_flag"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main.run(["eval", "--no_such_flag"]) == 2
        err = capsys.readouterr().err
        assert said in err and bool(err) == bool(said)


def test_an_error_that_another_process_says_ends_in_silence_and_its_code(capsys, monkeypatch):
    error = DataError("row 3")
    error.said = True

    def fails(*given, **named):
        raise error

    monkeypatch.setattr(main, "build_app", lambda: fails)
    assert main.run(["sft"]) == 2 and capsys.readouterr().err == ""


def test_a_launchers_variables_that_do_not_fit_are_said(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert main.run(["sft", "--output_dir", "x"]) == 2
    assert "2 processes share this run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["sft", "--help"], ["dpo", "--help_trl"], ["data", "-h"]]
)
def test_help_that_a_full_disk_lost_is_said_to_be_lost(arguments, monkeypatch, capsys):
    def lost():
        raise MachineError("standard output: No space left on device.")

    monkeypatch.setattr(main, "require_output", lost)
    assert main.run(arguments) == 1
    assert "error: standard output: No space left on device." in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["data", "check"], ["eval"], ["build"], ["sft"], ["vilt", "search"]])
def test_each_verb_shows_its_help_by_h(verb, capsys):
    assert main.run([*verb, "-h"]) == 0
    assert f"Usage: sightline {' '.join(verb)}" in capsys.readouterr().out


LONG = "x" * 256


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", LONG, "--preset", "nano"],
        ["data", "check", LONG],
        ["data", "check", "rows.jsonl", "--output_dir", f"runs/{LONG}"],
        ["data", "convert", "rows.jsonl", f"{LONG[5:]}.json", "--to", "llava"],
        ["eval", "--model", LONG, "--data", "rows.jsonl"],
        ["sft", "--model_name_or_path", "model", "--output_dir", LONG],
        ["ask", "model", LONG, "What?"],
        ["score", LONG],
    ],
)
def test_names_that_no_file_system_takes_are_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert main.run(arguments) == 2
    said = capsys.readouterr().err
    assert "expected names of up to 255 bytes" in said and "got one of 256" in said and said.count("\n") == 1


def test_a_machine_without_a_temporary_folder_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(main, "_answer", lambda arguments: tempfile.gettempdir())
    assert main.run([]) == 1
    said = capsys.readouterr().err
    assert "No usable temporary directory found in ['/nowhere']. Name a folder" in said and said.count("\n") == 1
