"""Run folders: settings, environment and results, each file written completely or not at all."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
import numbers
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sightline.config import place
from sightline.disks import LockedError, locked, told_disk
from sightline.errors import MachineError, RunFolderError
from sightline.machine import describe_environment
from sightline.notation import read_json, read_yaml
from sightline.secrets import HIDDEN, Secret, hidden, without_known, without_secrets

CONFIG, ENVIRONMENT, METRICS = "config.yaml", "environment.json", "metrics.jsonl"
BEGUN = "begun.json"
LOCK = ".lock"
MAX_DIFFERENCES = 6

_RUN_TRACES = (CONFIG, ENVIRONMENT, METRICS, "results.json", "samples.jsonl", "report.html", "trainer_state.json")
_BEGINNINGS = {LOCK, CONFIG, ENVIRONMENT, BEGUN, "route.json", "report.html", "training.json"}
_MODEL_TRACES = ("config.json", "adapter_config.json")


@dataclass(frozen=True)
class RunFolder:
    """A folder that one run owns. Nothing is created before `begin`, so a run refused for its input leaves no trace.

    Attributes:
        resume_by: the flag by which the run's command goes on with a folder, for messages; empty where none does.
    """

    path: Path
    resume_by: str = "--resume_from_checkpoint true"

    def check(self, resume: bool = False) -> None:
        """Nothing when a run may write here: the folder is new, empty of runs and models, or `resume` goes on with it.

        Raises:
            RunFolderError: the folder holds another run or a model, is a file or may not be written, or holds nothing
                to resume.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"--output_dir {self.path} is a file. Choose a folder.")
        there = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK):
            raise RunFolderError(
                f"--output_dir {self.path} cannot be written: {there} is read-only, or another user's. Choose another."
            )
        trace = self._trace()
        if trace and not resume:
            go_on = f"Go on with it by {self.resume_by}, or choose" if self.resume_by else "Choose"
            raise RunFolderError(
                f"--output_dir {self.path} holds another run (found {trace}), which this one would overwrite. "
                f"{go_on} another --output_dir."
            )
        if resume and not trace and not (self.path / BEGUN).is_file():
            raise RunFolderError(
                f"{self.resume_by.split()[0]} was given, but {self.path} holds no run. "
                "Leave the flag out to start one, or name the folder of the run by --output_dir."
            )

    def require_free(self, resume: bool) -> None:
        """As `check`, before a run does what takes long; raises RunFolderError where another is at work, too."""
        self.require_idle()
        self.check(resume)

    def require_idle(self) -> None:
        """Raises RunFolderError where another run is at work in the folder."""
        if (self.path / LOCK).is_file():
            with self.at_work():
                pass

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder for this run alone as long as the context lasts; whoever is killed lets go of it.

        What ends the run leaves a word on how to go on with what was kept.

        Raises:
            RunFolderError: another run is at work there.
            MachineError: the disk is full, or whatever the context raises of the kind.
        """
        with self.at_work():
            try:
                yield
            except OSError as error:
                told = told_disk(error)
                if not told:
                    raise
                raise MachineError(f"{told} What was answered is kept: go on by {self.resume_by}.") from error
            except (KeyboardInterrupt, SystemExit, MachineError):
                print(f"What was answered is kept in {self.path}: go on by {self.resume_by}.", file=sys.stderr)
                raise

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The folder, made where it is missing, for this run alone as long as the context lasts.

        Raises:
            RunFolderError: another run is at work there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path / LOCK):
                yield
        except LockedError as error:
            raise RunFolderError(
                f"{self.path}: another run is at work there ({error}). Wait for its end, or choose another folder."
            ) from error

    def read_begun(self) -> dict[str, Any]:
        """With what the run here began, under flat names; empty where it did not say.

        Raises:
            RunFolderError: the record is damaged.
        """
        return flat_names(self._record(BEGUN, read_json)) if (self.path / BEGUN).is_file() else {}

    def read_config(self) -> dict[str, Any]:
        """The settings that the run here was begun with. Raises RunFolderError where the record is damaged."""
        return self._record(CONFIG, read_yaml)

    def _record(self, name: str, read: Callable[[str], Any]) -> dict[str, Any]:
        path, found, what = self.path / name, None, "holds no settings"
        try:
            found = read(path.read_text(encoding="utf-8"))
        except ValueError as error:  # its notation, or not UTF-8
            what = str(error)
        if not isinstance(found, dict):
            raise RunFolderError(f"{path} is damaged ({what}). Copy it again, or start anew in another folder.")
        return found

    def require_same(self, begun: Mapping[str, Any], free: Collection[str] = ()) -> dict[str, Any]:
        """With what the run here began; empty where it did not say. What is `free` may differ.

        Raises:
            RunFolderError: something differs; each is named, with both values.
        """
        before, now = without_secrets(self.read_begun()), flat_names(without_secrets(plain_data(begun)))
        if not before:
            return before
        names = [name for name in dict.fromkeys([*before, *now]) if name not in free]
        changed = [name for name in names if before.get(name) != now.get(name)]
        if not changed:
            return before
        shown = [f"{name} {_told(before, name)}, now {_told(now, name)}" for name in changed[:MAX_DIFFERENCES]]
        more = f"; and {len(changed) - len(shown)} more" if len(changed) > len(shown) else ""
        raise RunFolderError(
            f"{self.path} holds a run that began with {'; '.join(shown)}{more}. Go on with what it began with, or "
            "start anew in another folder."
        )

    def begin(self, settings: Mapping[str, Any], resume: bool = False, begun: Mapping[str, Any] | None = None) -> None:
        """Creates the folder with the resolved settings and the environment. Call it once the input was found good.

        `begun` is what `require_same` compares when the run is resumed.

        Raises:
            RunFolderError: as `check`.
        """
        self.check(resume)
        self.path.mkdir(parents=True, exist_ok=True)
        recorded = hidden(plain_data(settings))
        self.write_text(CONFIG, yaml.safe_dump(recorded, sort_keys=True, allow_unicode=True))
        self.write_json(ENVIRONMENT, describe_environment())
        if begun is not None:
            self.write_json(BEGUN, without_secrets(plain_data(begun)))
        self._mend_metrics()

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Adds one line to `metrics.jsonl`; a value that is not finite is written as null."""
        with open(self.path / METRICS, "ab") as file:
            file.write(without_known(json.dumps(plain_data(row), allow_nan=False, ensure_ascii=False)).encode() + b"\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All rows of `metrics.jsonl`, in order; a last line that a crash cut short, or a spoilt one, is left out."""
        file = self.path / METRICS
        return read_json_lines(file) if file.exists() else []

    def forget_metrics_after(self, step: int) -> None:
        """Takes the rows of later steps away, which a run that goes on from this step does once more."""
        rows = self.read_metrics()
        kept = [row for row in rows if not isinstance(row.get("step"), int) or row["step"] <= step]
        if len(kept) < len(rows):
            self.write_text(METRICS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))

    def _mend_metrics(self) -> None:
        """Takes the last line of `metrics.jsonl` away if a crash cut it short, so that the next row starts a line."""
        rows = self.read_metrics()
        if (self.path / METRICS).exists():
            self.write_text(METRICS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def write_json(self, name: str, value: Any) -> Path:
        """Writes `value` to the file `name` of the folder, replacing it in one move; not-finite numbers become null."""
        text = json.dumps(plain_data(value), indent=2, allow_nan=False, ensure_ascii=False)
        return self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Writes `text` to the file `name` of the folder, replacing it in one move: a reader never sees a half."""
        return write_text(self.path / name, text)

    def _trace(self) -> str:
        """The name of one thing that a run or a saved model left here, or an empty string."""
        if not self.path.is_dir():
            return ""
        names = {entry.name for entry in self.path.iterdir()}
        if BEGUN in names and names <= _BEGINNINGS:
            return ""  # a run that ended before its first step, or its first answer
        checkpoints = sorted(name for name in names if name.startswith("checkpoint-"))
        found = [name for name in _RUN_TRACES + _MODEL_TRACES if name in names] + checkpoints
        return found[0] if found else ""


def cache_folder() -> Path:
    """Where stores lie: `SIGHTLINE_CACHE`, else `sightline` in the user's cache folder.

    Raises:
        MachineError: neither is known, as for a user id without a name where HOME is not set.
    """
    given, caches = os.environ.get("SIGHTLINE_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(place(given, "SIGHTLINE_CACHE"))
    if caches:
        return Path(place(caches, "XDG_CACHE_HOME")) / "sightline"
    try:
        return Path.home() / ".cache/sightline"
    except RuntimeError as error:
        raise MachineError(
            "Expected a folder for what is stored between runs, found none: no home folder is known. Name one by "
            "SIGHTLINE_CACHE."
        ) from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines that ends its last one; lines that hold none are left out, and counted."""
    lines = path.read_bytes().split(b"\n")[:-1]
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # not UTF-8, NULs after a power cut, torn or edited
            continue
        if isinstance(row, dict):
            rows.append(row)
    if len(rows) < len(lines):
        print(
            f"{path}: {len(lines) - len(rows)} of {len(lines)} lines are damaged; they are left out.", file=sys.stderr
        )
    return rows


def write_text(path: Path, text: str) -> Path:
    """Writes `text`, without the secrets that are known, in UTF-8 as `write_bytes` does; returns `path`."""
    return write_bytes(path, without_known(text).encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes `content` to `path` by way of a neighbour file that takes its place once it is on disk; returns `path`."""
    # Of a length that any file system takes, and of one writer alone.
    partial = path.with_name(f".{short_name(path)}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def short_name(path: Path) -> str:
    """16 letters that stand for a file's name beside it, where more than its own length would be too much."""
    return hashlib.blake2b(path.name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def plain_data(value: Any) -> Any:
    """`value` in the types of JSON: records as mappings, enums as values, not-finite numbers as None, else text;
    a secret is hidden."""
    if isinstance(value, Secret):
        return HIDDEN
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_data(item) for item in value]
    if isinstance(value, enum.Enum):
        return plain_data(value.value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool) else encodable(str(value))


def encodable(text: str) -> str:
    """The text with halves of characters joined, and those that stand alone replaced, as UTF-8 knows none.

    A model that is cut in the middle of an emoji, or JSON that escapes half of one, has such.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def flat_names(settings: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Nested settings under names such as `text_config.rope_parameters.rope_theta`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        where = f"{name}.{key}".lstrip(".")
        flat |= flat_names(value, where) if isinstance(value, Mapping) and value else {where: value}
    return flat


def _told(values: Mapping[str, Any], name: str) -> str:
    """A value as messages show it."""
    return str(values[name])[:80] if name in values else "nothing"
