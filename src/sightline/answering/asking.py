"""Ask every request of a run once: known answers come from the journal, new ones go into it."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

from sightline.answering.journal import Journal
from sightline.answering.requests import Request
from sightline.errors import MachineError
from sightline.launch.processes import Processes
from sightline.types import Answer, Answerer, ConcurrentAnswerer, Placed

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
