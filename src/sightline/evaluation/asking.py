"""Ask every request of a run once: what the journal knows is not asked, what is answered is in the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence as Many

from sightline.errors import MachineError
from sightline.evaluation.journal import Journal
from sightline.evaluation.processes import Processes
from sightline.evaluation.requests import Request
from sightline.types import Answer, Answerer

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
        journal: answers that it holds are taken from it, except errors, which are asked again.
        processes: this process asks its share of the pictures; the journal then has the answers of all.
        progress: called with (answered, all) after each answer.

    Raises:
        MachineError: nothing of the first window was answered.
    """
    processes = processes or Processes()
    asked = {request.key: request for request in requests}
    known = {} if journal is None else {key: answer for key, answer in journal.read().items() if key in asked}
    pending = [
        request
        for key, request in asked.items()
        if (key not in known or known[key].error) and _share_of(request, processes.count) == processes.rank
    ]
    if journal is not None:
        journal.begin()
    done = len(asked) - len(pending)
    for window in windows(pending):
        answers = answerer.answer([request.question for request in window])
        failed = 0
        for request, answer in zip(window, answers, strict=True):
            known[request.key] = answer
            failed += bool(answer.error)
            done += 1
            if journal is not None:
                journal.append({request.key: answer})
            if progress is not None:
                progress(done, len(asked))
        if failed == len(window) and window[0] is pending[0]:
            raise MachineError(
                f"{answerer.name} answered none of {failed} questions. The first error: {known[window[0].key].error}"
            )
    processes.wait()
    return journal.read() if journal is not None and processes.count > 1 else known


def windows(requests: Many[Request]) -> Iterator[list[Request]]:
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
