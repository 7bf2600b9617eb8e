"""The `sightline` command: a table of verbs, and errors as messages with exit codes."""

from __future__ import annotations

import atexit
import errno
import functools
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import typer
from typer._click.exceptions import ClickException  # of the one minor version that pyproject.toml allows

from sightline import __version__
from sightline.cli.command import SightlineCommand
from sightline.cli.environment import set_quiet_defaults
from sightline.cli.locale import told_unencodable, use_utf8
from sightline.cli.output import make_output_safe, safe_output
from sightline.cli.settings_help import UPSTREAM, settings_command
from sightline.cli.signals import end_on_signals
from sightline.cli.streams import keep_streams_open, require_output
from sightline.config import PLACES, placed
from sightline.disks import told_disk
from sightline.errors import SightlineError, Stopped
from sightline.launch.processes import end_by_itself, is_first, joined_processes, launched, say
from sightline.secrets import remember_command
from sightline.settings.places import check_places

SHOWN = frozenset({"-h", "--help", "--version", *UPSTREAM})  # what prints and ends, before any verb
NO_TEMPORARY = "No usable temporary directory"  # Python's words, without a class or a number of their own
OWN_FAULT = (
    "\nThis is a fault of Sightline's, not of yours. Please report it where you got Sightline from, with the lines "
    "above and what `sightline doctor` prints last."
)


@dataclass(frozen=True)
class Verb:
    """A command: `<name>_command` in the light module `cli/<name>.py`, its line in the list, whether it takes flags
    beyond its own, whether several processes may share its run, whether its result `lies` in a folder or file, so that
    stdout is no loss, and whether it trains. A verb with `verbs` is a group whose module holds their commands."""

    name: str
    summary: str
    takes_any_flag: bool = False
    is_shared: bool = False
    lies: bool = False
    trains: bool = False
    verbs: tuple[Verb, ...] = ()

    def load(self, group: str = "") -> Callable[..., Any]:
        module = importlib.import_module(f"sightline.cli.{group or self.name}")
        command: Callable[..., Any] = getattr(module, f"{self.name}_command")

        @functools.wraps(command)  # whose signature Typer reads
        def run_placed(**given: Any) -> Any:
            """The command with `~` and variables of its paths expanded, as flags and recipes of training have them."""
            # In the order of the signature, so that of several mistakes the same one is told each time.
            places = {name: placed(value, f"command line: {name}") for name, value in given.items() if name in PLACES}
            try:
                with joined_processes() if self.is_shared else nullcontext():
                    check_places(places, asks_server=bool(given.get("endpoint") or given.get("predictions")))
                    result = command(**{**given, **places})
            except typer.Exit:  # something was found, and printed
                self._require_output()
                raise
            self._require_output()
            return result

        return run_placed

    def _require_output(self) -> None:
        if not self.lies:
            require_output()

    def add_to(self, app: typer.Typer, group: str = "") -> None:
        """Adds the command, or the group with all of its commands, to the application."""
        if self.verbs:
            inner = _new_app(name=self.name, help=self.summary)
            for verb in self.verbs:
                verb.add_to(inner, group=self.name)
            app.add_typer(inner, short_help=self.summary)
            return
        settings = {"allow_extra_args": True, "ignore_unknown_options": True} if self.takes_any_flag else {}
        kind = settings_command(group or self.name) if self.trains else SightlineCommand
        add = app.command(self.name, cls=kind, short_help=self.summary, context_settings=settings)
        add(self.load(group))


def _training(name: str, summary: str) -> Verb:
    """A verb that trains: it takes any flag, in several processes, and leaves a folder."""
    return Verb(name, summary, takes_any_flag=True, is_shared=True, lies=True, trains=True)


VERBS = (
    Verb("demo", "Build, train, evaluate, align and compare a small VLM, offline.", lies=True),
    Verb("build", "A new VLM folder: from a preset, or tower, projector, decoder.", lies=True),
    Verb("merge", "Fold an adapter into its base: an ordinary model folder.", lies=True),
    Verb("ask", "One picture, one question, one answer."),
    _training("sft", "Fine-tune on demonstrations; takes every flag of trl sft."),
    _training("dpo", "Align with preference pairs; takes every flag of trl dpo."),
    Verb("eval", "Score a model on benchmarks or your own rows.", is_shared=True),
    Verb("score", "Score the answers of a run again, by another profile."),
    Verb("compare", "Two runs on the same items: what changed, and by what."),
    Verb("tasks", "The benchmarks: sources, prompts, scoring profiles."),
    Verb(
        "data",
        "Check, preview, convert and write training data.",
        verbs=(
            Verb("check", "What is in a dataset, and what is wrong with it."),
            Verb("preview", "What the model will see of your rows.", takes_any_flag=True),
            Verb("convert", "Write rows of any format in another one.", lies=True),
            Verb("synthesize", "Write rows with a model: conversations, preferences, ...", lies=True),
        ),
    ),
    Verb("doctor", "The environment; with a recipe, the run before any GPU hour.", takes_any_flag=True),
    Verb("cache", "List, verify or clear what is stored between runs."),
    Verb(
        "vilt",
        "Pretrain, fine-tune, evaluate and use ViLT.",
        verbs=(
            _training("pretrain", "Learn matching and masked words from captions."),
            _training("vqa", "Learn to answer questions."),
            _training("retrieval", "Learn to rank captions of pictures."),
            _training("nlvr2", "Learn to judge sentences about one picture or two."),
            Verb("evaluate", "Score a trained ViLT, with intervals."),
            Verb("search", "Rank the pictures of a folder by a text."),
            Verb("caption", "Choose captions for a picture from candidates."),
            Verb("align", "Draw which patches the words of a sentence go to."),
        ),
    ),
)


def build_app() -> typer.Typer:
    """The application with every verb of the table."""
    app = _new_app(
        name="sightline",
        help="Post-train and evaluate vision-language models, computing once whatever a batch shares.",
        epilog="stdout carries data, stderr progress. Exit codes: 0, 1 (failed), 2 (bad usage or input), 128 + signal.",
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for verb in VERBS:
        verb.add_to(app)
    return app


def _new_app(**settings: Any) -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # importing rich's Markdown for a help text takes longer than all the rest (0.15 s)
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; an unexpected exception keeps its traceback."""
    set_quiet_defaults()
    remember_command(sys.argv[1:] if arguments is None else arguments)
    with safe_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = _answer(arguments)
    except Stopped as stop:
        say(f"Ended by {stop.name}.")
        return _exit_code(stop)
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    except SightlineError as error:
        if not error.said:
            print(f"{_speaker()}error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        return _told_os_error(error)
    except UnicodeEncodeError as error:
        told = told_unencodable(error)
        if not told:
            raise
        print(f"{_speaker()}error: {told}", file=sys.stderr)
        return 2
    return result if isinstance(result, int) else 0


def _answer(arguments: Sequence[str] | None) -> Any:
    """What the command gives. Of several processes, which all read the same line, the first says what is wrong with it.

    Raises:
        SystemExit: the line cannot be read, or asked for help.
        MachineError: help or the version was asked for, and lost.
    """
    if is_first():
        try:
            return build_app()(args=arguments, prog_name="sightline", standalone_mode=True)
        except SystemExit as stop:
            if not stop.code and not SHOWN.isdisjoint(sys.argv[1:] if arguments is None else arguments):
                require_output()
            raise
    try:
        return build_app()(args=arguments, prog_name="sightline", standalone_mode=False)
    except ClickException as error:
        return error.exit_code


def _speaker() -> str:
    """Which process speaks, where it is not the one that does by right."""
    return "" if is_first() else f"rank {launched().rank}: "


def _told_os_error(error: OSError) -> int:
    """Says what is wrong with a path or a disk, and gives the exit code.

    Raises:
        OSError: nothing that a path or more space would mend.
    """
    told = told_disk(error)
    if NO_TEMPORARY in str(error):
        told = f"{error.strerror}. Name a folder that can be written by TMPDIR."
    if told:
        print(f"{_speaker()}error: {told}", file=sys.stderr)
        return 1
    kinds = NotADirectoryError | IsADirectoryError | FileExistsError | PermissionError
    if not isinstance(error, kinds) and error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
        raise error
    if error.filename is None:
        raise error
    print(
        f"{_speaker()}error: {error.filename}: {error.strerror}. Name another path, or mend this one.", file=sys.stderr
    )
    return 2


def main() -> None:
    """Entry point of the installed `sightline` script."""
    use_utf8()
    keep_streams_open()
    make_output_safe()
    end_on_signals()
    try:
        code = run()
    except Exception:
        traceback.print_exc()
        print(OWN_FAULT, file=sys.stderr)
        code = 1
    if _is_alone():
        sys.exit(code)
    _end_beside_others(code)


def _is_alone() -> bool:
    try:
        return launched().count == 1
    except SightlineError:  # which the command says
        return True


def _end_beside_others(code: int) -> NoReturn:
    """Ends this process of several without taking the interpreter down, and without a wait for what has died.

    A thread of gloo that frees a tensor meanwhile aborts the process, and the launcher then reports a finished run
    as failed (torch 2.13, one run in 50; github.com/pytorch/pytorch/pull/179291).
    """
    end_by_itself()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sightline {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_show_version, help="Show the version."),
) -> None:
    """Options of `sightline` itself; each acts in its callback."""


if __name__ == "__main__":
    main()
