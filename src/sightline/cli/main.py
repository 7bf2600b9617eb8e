"""The `sightline` command: run one command line, and turn errors into messages with exit codes."""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from typer._click.exceptions import ClickException  # of the one minor version that pyproject.toml allows

from sightline.cli.process import end_on_signals, set_quiet_defaults, told_unencodable, use_utf8
from sightline.cli.settings_help import UPSTREAM
from sightline.cli.streams import heartbeat, keep_streams_open, make_output_safe, require_output, safe_output
from sightline.cli.verbs import build_app
from sightline.disks import told_disk
from sightline.errors import SightlineError, Stopped
from sightline.launch.processes import end_by_itself, is_first, launched, say
from sightline.secrets import remember_command

SHOWN = frozenset({"-h", "--help", "--version", *UPSTREAM})  # what prints and ends, before any verb
INTERRUPTED = 128 + signal.SIGINT
LONGEST_PATH = 4096  # characters that Linux takes
NO_HOME = "Could not determine home directory"  # Python's words, without a class of their own
OWN_FAULT = (
    "\nThis is a fault of Sightline's, not of yours. Please report it where you got Sightline from, with the lines "
    "above and what `sightline doctor` prints last."
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
        return INTERRUPTED
    except SightlineError as error:
        if not error.said:
            print(f"{_speaker()}error: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, RuntimeError) as error:
        return _told_of_machine(error)
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
        KeyboardInterrupt: Ctrl-C.
        MachineError: help or the version was asked for, and lost.
    """
    if is_first():
        try:
            with heartbeat():
                return build_app()(args=arguments, prog_name="sightline", standalone_mode=True)
        except SystemExit as stop:
            if stop.code == INTERRUPTED:  # which Typer makes of Ctrl-C, without a word
                raise KeyboardInterrupt from None
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


def _told_of_machine(error: OSError | RuntimeError) -> int:
    """Says what is wrong with a path, a disk or the home folder, and gives the exit code.

    Raises:
        OSError, RuntimeError: nothing that a path or more space would mend.
    """
    told = "no home folder is known. Name one by HOME." if NO_HOME in str(error) else told_disk(error)
    if told:
        print(f"{_speaker()}error: {told}", file=sys.stderr)
        return 1
    kinds = NotADirectoryError | IsADirectoryError | FileExistsError | PermissionError
    if not isinstance(error, OSError) or error.filename is None:
        raise error
    if not isinstance(error, kinds) and error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
        raise error
    name = str(error.filename)
    shown = name if len(name) <= LONGEST_PATH else f"{name[:200]}... ({len(name):,} characters)"
    print(f"{_speaker()}error: {shown}: {error.strerror}. Name another path, or mend this one.", file=sys.stderr)
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


if __name__ == "__main__":
    main()
