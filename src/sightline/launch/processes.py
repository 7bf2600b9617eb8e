"""The processes of a run: the number of this one, and actions that only one of them does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from sightline.errors import ConfigError, MachineError, SightlineError
from sightline.launch.meeting import Failure, Meeting, launcher_holds_store, meet

T = TypeVar("T")

# The variables of torch's launchers, and of MPI's, as accelerate reads them.
RANK = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
COUNT = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
LOCAL_RANK = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK")
# What torch says where a process waits for one that is gone.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exit")
ENDED = "Another process of this run ended before this one, and the run with it; its own message says why."

_joined: list[Processes] = []  # the processes of this run, while they are joined
_hearing: ContextVar[list[str] | None] = ContextVar("hearing", default=None)


@dataclass(frozen=True)
class Processes:
    """This process among all of its run.

    Attributes:
        local: its number among those of its machine, which is that of its GPU.
        meeting: where they meet; None for one alone, and for those whom training joined.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    meeting: Meeting | None = None

    @property
    def first(self) -> bool:
        """Whether this one writes and says what all of them found."""
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """Its GPU, where there is one for each process of the machine."""
        if self.count == 1:
            return None
        import torch

        return f"cuda:{self.local}" if torch.cuda.device_count() > self.local else None

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.meeting is not None:
            self.meeting.wait()
        elif self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    def first_does(self, act: Callable[[], T]) -> T:
        """What `act` gives in the first process, in all of them: a value of JSON's types. Its error is that of all."""
        if self.meeting is None:
            return act()
        if not self.first:
            heard: T = self.meeting.hear(0)
            return heard
        found = act()
        self.meeting.tell(found)
        return found

    def in_turn(self, make: Callable[[], T]) -> T:
        """What `make` gives here: in the first process, then in the others, which find what it left in caches."""
        if not self.first:
            self.wait()
        made = make()
        if self.first:
            self.wait()
        return made


def launched() -> Processes:
    """This process among those that a launcher started, by its environment variables; alone without them.

    Raises:
        ConfigError: they do not go together.
    """
    count = _number(COUNT, 1)
    if count <= 1:
        return Processes()
    rank = _number(RANK, -1)
    if not 0 <= rank < count:
        got = f"RANK {rank}" if rank >= 0 else "no RANK"
        raise ConfigError(
            f"WORLD_SIZE: {count} processes share this run, each with a RANK from 0 to {count - 1}; got {got}. Start "
            f"them by `torchrun --nproc_per_node {count}`, or unset WORLD_SIZE to run one."
        )
    return Processes(rank, count, _number(LOCAL_RANK, rank))


def is_first() -> bool:
    """Whether this process is the one, of perhaps several, that speaks and writes."""
    try:
        return launched().first
    except ConfigError:  # which ends the command anyway
        return True


def say(text: str) -> None:
    """Prints a line on stderr, in the first process alone: what all of them would say."""
    if is_first():
        print(text, file=sys.stderr)
        lines = _hearing.get()
        if lines is not None:
            lines.append(text)


@contextmanager
def heard() -> Iterator[list[str]]:
    """What is said as long as the context lasts, for whoever shows it elsewhere, too."""
    lines: list[str] = []
    token = _hearing.set(lines)
    try:
        yield lines
    finally:
        _hearing.reset(token)


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes of this run, who have met, as long as the context lasts; inside another one, those of that.

    An error of all is marked as `said` in all but the first; one of another process ends those that wait for it.

    Raises:
        ConfigError: the launcher's variables do not go together.
        MachineError: a process did not come in time.
        ProcessLost: another process failed or died.
    """
    if _joined:
        yield _joined[0]
        return
    own = launched()
    if own.count == 1:
        _say_where_alone()
        _joined.append(own)
        try:
            yield own
        finally:
            _joined.clear()
        return
    port = _number(("MASTER_PORT",), 29500)
    meeting = meet(own.rank, own.count, os.environ.get("MASTER_ADDR") or "127.0.0.1", port)
    _joined.append(Processes(own.rank, own.count, own.local, meeting))
    failed = False
    try:
        yield _joined[0]
    except BaseException as error:
        failed = True
        end_by_itself()
        told = _told(meeting, error)
        if told is error:
            raise
        raise told from None
    finally:
        _joined.clear()
        _leave(meeting, failed)


def _say_where_alone() -> None:
    """A line where `accelerate launch` was asked for several processes and started one.

    It does so without `--multi_gpu` on a machine that shows fewer than two GPUs, and with `--cpu` (accelerate 1.15),
    and leaves these variables; with MPI it starts them all.
    """
    asked = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if asked and not any(name in os.environ for name in COUNT):
        print(
            "accelerate launch was asked for several processes, but started this one alone, which does all by itself. "
            "Take `torchrun --nproc_per_node N` for N processes, on CPUs too; --num_processes 1 ends this message.",
            file=sys.stderr,
        )


def _told(meeting: Meeting, error: BaseException) -> BaseException:
    """The error as this process ends with it, of which the others know by now."""
    try:
        if is_of_lost_process(error):
            error = meeting.loss() or MachineError(ENDED)
        code = error.exit_code if isinstance(error, SightlineError) else 1
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            code = error.code
        is_said = meeting.fail(Failure(meeting.rank, str(error) or type(error).__name__, code))
    except RuntimeError:  # the store is gone, and its process with it
        return MachineError(ENDED) if is_of_lost_process(error) else error
    if isinstance(error, SightlineError) and is_said:
        error.said = True
    return error


def is_of_lost_process(error: BaseException) -> bool:
    """Whether torch raised this because another process is gone."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in LOST)


def _leave(meeting: Meeting, failed: bool) -> None:
    """Leaves the others. The first stays a moment where they need its store, or fail as it does: the launcher ends all
    once one has ended, and each shall end by its own code."""
    with contextlib.suppress(RuntimeError):  # the store is gone
        meeting.leave(stays=meeting.rank == 0 and (failed or not launcher_holds_store()))


def end_by_itself() -> None:
    """Lets this process, which ends, say why: a launcher passes on what the terminal had sent to all of them already,
    and sends SIGTERM once one has ended. To be called when nothing is left to do but that."""
    with contextlib.suppress(ValueError):  # not the main thread
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _named(names: tuple[str, ...]) -> str:
    """The first of these variables that is set, or the first of all."""
    return next((name for name in names if os.environ.get(name)), names[0])


def _number(names: tuple[str, ...], default: int) -> int:
    name = _named(names)
    given = os.environ.get(name) or str(default)
    try:
        return int(given)
    except ValueError as error:
        raise ConfigError(f"{name}: expected a whole number in this variable, got {given!r}.") from error
