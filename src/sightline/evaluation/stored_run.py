"""Read a finished run from its folder, and check every value and item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.errors import DataError
from sightline.evaluation.outcome import RESULTS
from sightline.evaluation.requests import LIKELIHOOD_NORMS, Asking
from sightline.evaluation.samples import SAMPLES, Sample
from sightline.runs import ENVIRONMENT
from sightline.secrets import hidden

MEND = "Copy the folder again, or have it written from its journal by `sightline eval --resume`."


@dataclass(frozen=True)
class _Data:
    """What must be of a kind in a task's `data`; runs of before recorded less."""

    place: str
    kind: str = ""
    config: str = ""
    split: str = ""
    revision: str = ""
    md5: str = ""
    bad_rows: list[Any] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Task:
    title: str
    prompt: str
    profile: str
    max_new_tokens: int
    n: int
    data: _Data


@dataclass(frozen=True)
class _Provenance:
    versions: dict[str, str | None] = field(default_factory=dict)
    processor_settings: dict[str, Any] | None = None
    decoding: dict[str, Any] | None = None
    model_settings: dict[str, Any] | None = None
    adapter_settings: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Summary:
    """What must be of a kind in `results.json`; what else stands there is shown and compared as it is."""

    model: str
    settings: Asking
    tasks: dict[str, _Task]
    provenance: _Provenance
    duration_s: float


def read_summary(run: Path) -> dict[str, Any]:
    """The content of a run's `results.json`.

    Raises:
        DataError: there is none, or it is not what `sightline eval` wrote.
    """
    path = run / RESULTS
    content = _read(path, run, "Expected the --output_dir of `sightline eval`.")
    summary: dict[str, Any] = hidden(_checked(content, dict[str, Any], str(path)))  # what an older run may have kept
    if "tasks" not in summary:
        raise DataError(f"{run} is no run of `sightline eval`: its {RESULTS} names no tasks. Name another folder.")
    found = _checked(content, _Summary, str(path))
    if found.settings.likelihood_norm not in LIKELIHOOD_NORMS:
        raise DataError(f"{path}: expected one of {', '.join(LIKELIHOOD_NORMS)} at settings.likelihood_norm. {MEND}")
    return summary


def read_samples(run: Path, summary: Mapping[str, Any] | None = None) -> list[Sample]:
    """The samples of a run folder; with its `summary` as many of each task as that counted.

    Raises:
        DataError: the folder has none, they are not what `sightline eval` wrote, or one is missing or there twice.
    """
    path = run / SAMPLES
    cut_short = "a run that was cut short is finished by `sightline eval --resume`."
    content = _read(path, run, f"Expected the --output_dir of `sightline eval`; {cut_short}")
    lines = content.split(b"\n")  # alone: answers may hold U+2028 and the other ends of lines that Python knows
    samples = [
        _checked(line, Sample, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if lines[-1].strip():
        raise DataError(f"{path}: expected an end of line after its last sample, so that none is cut. {MEND}")
    counts = Counter((sample.task, sample.id) for sample in samples)
    twice = next((f"'{id_}' of {task}" for (task, id_), count in counts.items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"{path}: the item {twice} is there more than once. Score or compare the run as it was written."
        )
    if summary is not None:
        _require_all(samples, summary, path)
    return samples


def read_environment(run: Path) -> dict[str, Any]:
    """The content of a run's `environment.json`, empty where there is none. Raises DataError where it is no record."""
    path = run / ENVIRONMENT
    if not path.is_file():
        return {}
    found: dict[str, Any] = hidden(_checked(path.read_bytes(), dict[str, Any], str(path)))
    return found


def _read(path: Path, run: Path, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{run} holds no results: {path.name} is missing. {expected}") from None
    except (OSError, ValueError) as error:  # loops of links, names that no file can have
        raise DataError(f"{str(run)[:200]} cannot be read: {error.args[-1]}. {expected}") from None


def _checked(content: bytes, kind: Any, name: str) -> Any:
    """JSON as a value of `kind`, which pydantic reads; what a record does not name is left out.

    Raises:
        DataError: it is none; names the first part that is not of its kind.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"{first['msg'][:200]}{f' at {place[:100]}' if place else ''}"
        raise DataError(f"{name} is not what `sightline eval` wrote: {what}. {MEND}") from None


def _require_all(samples: list[Sample], summary: Mapping[str, Any], path: Path) -> None:
    """Raise DataError where a task has other than the number of items that its summary counted."""
    counts = Counter(sample.task for sample in samples)
    for name in {**summary["tasks"], **counts}:
        counted = summary["tasks"].get(name, {}).get("n", 0)
        if counts[name] != counted:
            raise DataError(
                f"{path}: expected the {counted} items of {name} that {RESULTS} counts, got {counts[name]}. {MEND}"
            )
