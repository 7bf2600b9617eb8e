"""The meeting place of a run's processes: who is there, who is alive, shared messages, why one ended."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, MachineError

JOIN_LIMIT_S = 300.0  # to start and to import; nothing else has a limit, since a slow process is no error
FIRST_NOTICE_S, NEXT_NOTICE_S = 10.0, 60.0
BEAT_S, SILENCE_LIMIT_S = 5.0, 180.0  # a thread gives signs of life; one call that holds the interpreter delays them
SAME_ERROR_S = 5.0  # so long a process that failed waits to learn whether all fail alike
POLL_S = 0.05
SILENT = "it gave no message, as when it is killed (its memory may have run out). Start all again to go on"


@dataclass(frozen=True)
class Failure:
    """Why a process ended: its message, and its exit code."""

    rank: int
    message: str
    exit_code: int


class Meeting:
    """What the processes of a run know of each other, by a store of torch's at MASTER_ADDR:MASTER_PORT.

    The store asks for no connection besides the one that training makes to that address, and its waiting ends when a
    process fails or dies, not when it is slow.
    """

    def __init__(self, store: Any, rank: int, count: int, place: str) -> None:
        self._store, self.rank, self.count, self.place = store, rank, count, place
        self._met = 0
        self._over = threading.Event()
        self._store.set(f"life/{rank}", _identity())
        self._store.set(f"beat/{rank}", "0")
        threading.Thread(target=self._beat, daemon=True).start()

    def wait(self) -> None:
        """Returns when every process has come here.

        Raises:
            ProcessLost: one failed or died before.
        """
        self._met += 1
        name = f"met/{self._met}"
        self._store.set(f"{name}/{self.rank}", "")
        self._wait(name, range(self.count))

    def tell(self, value: Any) -> None:
        """Tells all that `hear` a value of JSON's types."""
        self._met += 1
        self._store.set(f"met/{self._met}/{self.rank}", json.dumps(value))

    def hear(self, rank: int) -> Any:
        """What the process of this rank tells, once it does.

        Raises:
            ProcessLost: it failed or died before, or another one did.
        """
        self._met += 1
        name = f"met/{self._met}"
        self._wait(name, [rank])
        return json.loads(self._store.get(f"{name}/{rank}"))

    def fail(self, failure: Failure) -> bool:
        """Lets the others know why this process ends; whether one of lower rank, which says it, ends for the same."""
        self._store.set(f"failed/{self.rank}", json.dumps(asdict(failure)))
        until = time.monotonic() + SAME_ERROR_S
        while self.rank and time.monotonic() < until:
            below = self.failures(range(self.rank))
            if any(other.message == failure.message for other in below):
                return True
            if len(below) == self.rank:
                return False
            time.sleep(POLL_S)
        return False

    def failures(self, ranks: Iterable[int] | None = None) -> list[Failure]:
        """Why processes of these ranks, or any other, said that they end."""
        asked = [rank for rank in (range(self.count) if ranks is None else ranks) if rank != self.rank]
        names = [f"failed/{rank}" for rank in asked]
        return [Failure(**json.loads(self._store.get(name))) for name in names if self._store.check([name])]

    def loss(self) -> ProcessLost | None:
        """By which error this process ends where another one failed, or died on this machine; None where none did."""
        failed = self.failures()
        if failed:
            return self._lost(failed[0])
        for rank in range(self.count):
            has_left = self._store.check([f"left/{rank}"])
            if not has_left and _is_dead(self._store.get(f"life/{rank}").decode()):
                return self._lost(Failure(rank, SILENT, 1))
        return None

    def _lost(self, failure: Failure) -> ProcessLost:
        error = ProcessLost(failure)
        error.said = self.rank != 0  # the process that failed says why, and the first one that it ends for that
        return error

    def leave(self, stays: bool) -> None:
        """Ends the signs of life; one that `stays` waits for the others to leave, for a while."""
        self._over.set()
        self._store.set(f"left/{self.rank}", "")
        until = time.monotonic() + SAME_ERROR_S
        while stays and time.monotonic() < until:
            if all(self._store.check([f"left/{rank}"]) for rank in range(self.count)):
                return
            time.sleep(POLL_S)

    def wait_for_all(self) -> None:
        """Returns when every process has come; says whom it waits for.

        Raises:
            MachineError: one did not come in time.
        """
        start, notice = time.monotonic(), FIRST_NOTICE_S
        while missing := [rank for rank in range(self.count) if not self._store.check([f"life/{rank}"])]:
            waited = time.monotonic() - start
            if waited > JOIN_LIMIT_S:
                raise self._absent(missing)
            if waited > notice and self.rank == 0:
                _say_waiting(missing, self.count, self.place)
                notice = waited + NEXT_NOTICE_S
            time.sleep(POLL_S)

    def _absent(self, missing: list[int]) -> MachineError:
        error = _error_of_absent(missing, self.count, self.place)
        error.said = self.rank != 0  # who is the first says it
        return error

    def _wait(self, name: str, ranks: Iterable[int]) -> None:
        signs = {rank: _Sign() for rank in ranks}
        pause, looked = POLL_S / 10, time.monotonic()
        while missing := [rank for rank in signs if not self._store.check([f"{name}/{rank}"])]:
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                beats = {rank: self._store.get(f"beat/{rank}") for rank in missing}
                silent = [rank for rank, beat in beats.items() if signs[rank].silence_s(beat) > SILENCE_LIMIT_S]
                lost = self.loss() or (self._lost(Failure(silent[0], SILENT, 1)) if silent else None)
                if lost is not None:
                    raise lost
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(BEAT_S):
            count += 1
            try:
                self._store.set(f"beat/{self.rank}", str(count))
            except RuntimeError:  # the store is gone, and with it the run
                return


class ProcessLost(MachineError):
    """Another process of the run failed or died, so that this one cannot go on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"rank {failure.rank} of the processes ended, and the run with it: {failure.message}")
        self.exit_code = failure.exit_code


class _Sign:
    """For how long a value has not changed."""

    def __init__(self) -> None:
        self._last, self._since = b"", time.monotonic()

    def silence_s(self, value: bytes) -> float:
        if value != self._last:
            self._last, self._since = value, time.monotonic()
        return time.monotonic() - self._since


def meet(rank: int, count: int, address: str, port: int) -> Meeting:
    """Where all processes of the run have come.

    Raises:
        ConfigError: another process has this rank.
        MachineError: one did not come in time, or the address cannot be used.
    """
    import torch.distributed

    distributed: Any = torch.distributed  # which does not list its stores among what it exports
    place = f"{address}:{port}"
    holds_store = rank == 0 and not launcher_holds_store()
    if not holds_store:
        _wait_for_store(address, port, count)
    try:
        store = distributed.TCPStore(
            address,
            port,
            is_master=holds_store,
            timeout=timedelta(seconds=JOIN_LIMIT_S),
            wait_for_workers=False,
            multi_tenant=True,  # training opens it once more
        )
    except distributed.DistError as error:
        raise MachineError(
            f"MASTER_PORT: expected a free port of this machine for {count} processes to meet at {place}, but "
            f"{str(error).splitlines()[0]}. If another run is there, name another port."
        ) from error
    # A launcher that starts all processes again keeps its store.
    attempt = f"{os.environ.get('TORCHELASTIC_RUN_ID', '')}.{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    own = distributed.PrefixStore(f"sightline.{attempt}", store)
    if own.add(f"came/{rank}", 1) > 1:
        raise ConfigError(f"RANK: expected each rank once, got {rank} twice at {place}. Give each process its own.")
    meeting = Meeting(own, rank, count, place)
    meeting.wait_for_all()
    return meeting


def launcher_holds_store() -> bool:
    """Whether the launcher itself holds the store at MASTER_ADDR:MASTER_PORT, as `torchrun` says by this variable."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _say_waiting(missing: list[int], count: int, place: str) -> None:
    """Names who has not come."""
    print(
        f"Waiting for {_ranks(missing)} of {count} processes at {place}, for at most {JOIN_LIMIT_S / 60:.3g} minutes.",
        file=sys.stderr,
        flush=True,
    )


def _error_of_absent(missing: list[int], count: int, place: str) -> MachineError:
    """The error of a process whose companions did not come."""
    return MachineError(
        f"WORLD_SIZE: expected {count} processes to meet at {place}, but {_ranks(missing)} did not come in "
        f"{JOIN_LIMIT_S / 60:.3g} minutes. Start all of them with the same MASTER_ADDR and MASTER_PORT, as `torchrun "
        f"--nproc_per_node {count}` does, or unset WORLD_SIZE to run one process."
    )


def _ranks(missing: list[int]) -> str:
    shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
    return f"rank{'s' if len(missing) > 1 else ''} {shown}"


def _wait_for_store(address: str, port: int, count: int) -> None:
    """Returns when someone listens there. torch's own store would log a page of C++ frames while it waits."""
    start, notice = time.monotonic(), FIRST_NOTICE_S
    while True:
        try:
            socket.create_connection((address, port), timeout=10).close()
            return
        except OSError:  # not there yet, or a name that is not known yet
            waited = time.monotonic() - start
        if waited > JOIN_LIMIT_S:
            raise _error_of_absent([0], count, f"{address}:{port}")
        if waited > notice:
            _say_waiting([0], count, f"{address}:{port}")
            notice = waited + NEXT_NOTICE_S
        time.sleep(0.2)


def _identity() -> str:
    """What tells this process from all others of all machines; empty where Linux does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino} {os.getpid()} {_state_of(os.getpid())[1]}"
    except (OSError, IndexError):
        return ""


def _is_dead(identity: str) -> bool:
    """Whether a process of this machine is no more; False for one of another machine, which only its beats tell."""
    own = _identity().split()
    boot, space, pid, began = (*identity.split(), "", "", "", "")[:4]
    if not own or [boot, space] != own[:2]:
        return False
    try:
        state, started = _state_of(int(pid))
    except (OSError, IndexError):
        return True
    return state in "ZX" or started != began


def _state_of(pid: int) -> tuple[str, str]:
    """State and start of a process, as Linux numbers its fields 3 and 22; the second may hold spaces and brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return fields[0], fields[19]
