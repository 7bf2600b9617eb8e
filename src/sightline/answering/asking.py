"""Ask every request of a run once: known answers come from its journal, and new ones are on disk at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.answering.requests import Request
from sightline.errors import MachineError
from sightline.launch.processes import Processes
from sightline.runs import encodable, read_json_lines
from sightline.secrets import without_known
from sightline.types import Answer, Answerer, ConcurrentAnswerer, OptionScore, Placed

FOLDER, SUM = "journal", "sum"


class Journal:
    """Answers by key, in `RUN/journal/`: one file per process, which that process alone writes.

    A line that a crash cut short, or that was damaged since, is dropped with a message, and its question asked again.
    """

    def __init__(self, run: Path, process: int = 0) -> None:
        self.folder = run / FOLDER
        self.path = self.folder / f"{process}.jsonl"

    def read(self) -> dict[str, Answer]:
        """All answers, of every process and every earlier run; of a question asked again the later one."""
        answers: dict[str, Answer] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for key, answer in _lines(path):
                if key not in answers or answers[key].error:
                    answers[key] = answer
        return answers

    def begin(self) -> None:
        """Makes the file ready for this process to append to: a torn last line goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            print(f"{self.path}: the last line was cut short by a crash; its question is asked again.", file=sys.stderr)
            os.truncate(self.path, whole)

    def append(self, answers: Mapping[str, Answer]) -> None:
        """Adds a line per answer and hands them to the operating system; a process that dies loses none of them."""
        lines = "".join(
            json.dumps(_summed({"key": key, **_plain(answer)}), ensure_ascii=False) + "\n"
            for key, answer in answers.items()
        )
        with open(self.path, "ab") as file:
            file.write(lines.encode())


def _lines(path: Path) -> Iterator[tuple[str, Answer]]:
    spoilt = 0
    for record in read_json_lines(path):
        try:
            if record != _summed({name: value for name, value in record.items() if name != SUM}):
                raise TypeError
            options = tuple(OptionScore(**option) for option in record.get("options", ()))
            answer = Answer(
                _text(record.get("text", "")),
                _text(record.get("error", "")),
                options,
                _text(record.get("finish_reason", "")),
                tuple(map(_text, record.get("changes", ()))),
            )
            key = _text(record["key"])
        except (KeyError, TypeError, ValueError):
            spoilt += 1
            continue
        yield key, answer
    if spoilt:
        print(f"{path}: {spoilt} lines are not what was written; their questions are asked again.", file=sys.stderr)


def _summed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a sum over it, by which a line that was changed since is found."""
    content = json.dumps(record, sort_keys=True).encode()
    return {**record, SUM: hashlib.blake2b(content, digest_size=4).hexdigest()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _plain(answer: Answer) -> dict[str, Any]:
    """The fields that say something, in characters that a file takes, and without secrets: a server may answer with the
    key that it was sent."""
    said = {name: value for name, value in asdict(answer).items() if value} or {"text": ""}
    return {name: without_known(encodable(value)) if isinstance(value, str) else value for name, value in said.items()}


# Requests that are handed over at once; one more where the next is about the same pictures.
WINDOW = 512

Progress = Callable[[int, int], None]


def ask_all(
    answerer: Answerer,
    requests: Iterable[Request],
    journal: Journal | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> dict[str, Answer]:
    """The answer of each key. Equal requests are asked once, those about one picture together.

    Args:
        journal: answers that it holds are taken from it, except errors, which are asked again after all others.
        processes: this process asks its share of the pictures; the journal then has the answers of all.
        progress: called with (answered, all) after each answer.

    Raises:
        MachineError: nothing was answered of the first window, or too many questions in a row that never failed before
            had no answer.
    """
    processes = processes or Processes()
    asked = {request.key: request for request in requests}
    known = {} if journal is None else {key: answer for key, answer in journal.read().items() if key in asked}
    share = [request for request in asked.values() if _share_of(request, processes.count) == processes.rank]
    new = [request for request in share if request.key not in known]
    failed = [request for request in share if request.key in known and known[request.key].error]
    if journal is not None:
        journal.begin()
    done = len(asked) - len(new) - len(failed)
    watched = _Failures(answerer, {request.key for request in failed})
    for window in [*_windows_of(answerer, new), *_windows_of(answerer, failed)]:
        with contextlib.closing(_answers(answerer, window)) as answers:
            for placed in answers:
                request = window[placed.place]
                known[request.key] = placed.answer
                done += 1
                if journal is not None:
                    journal.append({request.key: placed.answer})
                if progress is not None:
                    progress(done, len(asked))
                watched.see(request, placed.answer)
        watched.look_back(window, known)
    processes.wait()
    return journal.read() if journal is not None and processes.count > 1 else known


class _Failures:
    """Counts questions in a row that have no answer. One that failed in an earlier run says nothing new."""

    def __init__(self, answerer: Answerer, expected: set[str]) -> None:
        self._name = answerer.name
        self._patience = answerer.patience if isinstance(answerer, ConcurrentAnswerer) else None
        self._expected = expected
        self._in_a_row = 0

    def look_back(self, window: list[Request], known: Mapping[str, Answer]) -> None:
        """Raises MachineError where nothing is known but errors."""
        if self._patience != math.inf and all(answer.error for answer in known.values()):
            raise MachineError(
                f"{self._name} answered none of {len(window)} questions. The first error: {known[window[0].key].error}"
            )

    def see(self, request: Request, answer: Answer) -> None:
        """Raises MachineError where patience is at its end."""
        if not answer.error:
            self._in_a_row = 0
        elif request.key not in self._expected:
            self._in_a_row += 1
        if self._patience is not None and self._in_a_row >= self._patience:
            raise MachineError(
                f"{self._name} had no answer to {self._in_a_row} questions in a row; the last: {answer.error}. "
                "Look after it, then run the command again."
            )


def _windows_of(answerer: Answerer, requests: list[Request]) -> Iterable[list[Request]]:
    """What is handed over at once: all of it where answers come in any order, so that nothing waits for the slowest."""
    if isinstance(answerer, ConcurrentAnswerer):
        return [requests] if requests else []
    return windows(requests)


def _answers(answerer: Answerer, window: list[Request]) -> Generator[Placed]:
    """One answer per request, as soon as it is known."""
    questions = [request.question for request in window]
    if isinstance(answerer, ConcurrentAnswerer):
        yield from answerer.answer_as_ready(questions)
        return
    for place, (_, answer) in enumerate(zip(questions, answerer.answer(questions), strict=True)):
        yield Placed(place, answer)


def windows(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Requests about the same pictures one after another, in windows that end between pictures."""
    groups: dict[tuple[str, ...], list[Request]] = {}
    for request in requests:
        groups.setdefault(_together(request), []).append(request)
    window: list[Request] = []
    for group in groups.values():
        if window and len(window) + len(group) > WINDOW:
            yield window
            window = []
        window += group
    if window:
        yield window


def _share_of(request: Request, processes: int) -> int:
    """The process that asks a request: by its pictures, so that those who share one stay together."""
    digest = hashlib.blake2b(repr(_together(request)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % processes


def _together(request: Request) -> tuple[str, ...]:
    """What requests have in common that should be asked together: their pictures; one without is on its own."""
    return tuple(picture.key for picture in request.question.pictures) or (request.key,)
