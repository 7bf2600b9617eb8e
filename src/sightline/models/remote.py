"""Ask a model behind an OpenAI-compatible endpoint: vLLM, SGLang or a hosted model."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from io import BytesIO
from queue import SimpleQueue
from typing import Any

from sightline.data.encoding.prompts import Said, said_of
from sightline.errors import DataError
from sightline.models.chat_client import ChatClient, Sleep
from sightline.models.endpoint import Endpoint
from sightline.models.posts import Voice, say_on_stderr
from sightline.models.request_fields import RequestFields
from sightline.secrets import redact
from sightline.types import Answer, Picture, Placed, Question

STOPPING_S = 5.0  # longest wait for requests that are called off


class EndpointAnswerer:
    """A `ConcurrentAnswerer` that sends each question as one chat completion, pictures inline as PNG; without sampling,
    unless the question asks for it. What a server refuses of a request is remembered as long as it lives.

    Args:
        opening: messages that stand before every question: a system message, examples.
        sleep: waits between attempts; another one in tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        opening: Sequence[dict[str, Any]] = (),
        say: Callable[[str], None] = say_on_stderr,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.opening = tuple(opening)
        self.name = f"{endpoint.model} at {endpoint.address}"
        self.patience = endpoint.patience
        self._fields = RequestFields(endpoint)
        self._voice = Voice(say)
        self._sleep = sleep

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order; what the endpoint cannot answer is an error of its question.

        Raises:
            MachineError, InputError: as `ChatClient.complete`.
        """
        known: dict[int, Answer] = {}
        due = 0
        with contextlib.closing(self.answer_as_ready(questions)) as ready:
            for placed in ready:
                known[placed.place] = placed.answer
                while due in known:
                    yield known.pop(due)
                    due += 1

    def answer_as_ready(self, questions: Sequence[Question]) -> Generator[Placed]:
        """One answer per question, each as soon as it is known. Whoever stops asking calls off what is in flight.

        Raises:
            MachineError, InputError: as `ChatClient.complete`.
        """
        came: SimpleQueue[Placed | BaseException | None] = SimpleQueue()
        work = _Background(self._ask_all(questions, came.put), came.put)
        try:
            while (item := came.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            work.stop()

    async def _ask_all(self, questions: Sequence[Question], give: Callable[[Placed], None]) -> None:
        waiting = iter(enumerate(questions))
        async with ChatClient(self.endpoint, self._fields, self._voice, self._sleep) as client:

            async def ask_next() -> None:
                for place, question in waiting:
                    give(Placed(place, await self._ask(client, question)))

            workers = [asyncio.create_task(ask_next()) for _ in range(self.endpoint.concurrency)]
            watch = asyncio.create_task(client.watch())
            try:
                await asyncio.gather(*workers)
            finally:
                for task in (*workers, watch):
                    task.cancel()
                await asyncio.gather(*workers, watch, return_exceptions=True)

    async def _ask(self, client: ChatClient, question: Question) -> Answer:
        try:
            messages = await asyncio.to_thread(chat_messages, question)
        except Exception as error:  # whatever a picture that cannot be opened raises is an error of its question
            return Answer(error=redact(f"{type(error).__name__}: {error}"))
        return await client.complete([*self.opening, *messages], question)


class _Background:
    """A coroutine in a thread of its own, so that whoever waits can be in a loop or interrupted; tells how it ended:
    None, or what it raised."""

    def __init__(self, work: Coroutine[Any, Any, None], end: Callable[[BaseException | None], None]) -> None:
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(work)
        self._end = end
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Calls the coroutine off, and waits for it a little."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(STOPPING_S)

    def _run(self) -> None:
        ended: BaseException | None = None
        try:
            self._loop.run_until_complete(self._task)
        except BaseException as error:  # handed to whoever waits
            ended = error
        finally:
            self._loop.close()
            self._end(ended)


def chat_messages(question: Question) -> list[dict[str, Any]]:
    """The turns before a question and the question as messages of OpenAI's API; what is no user's turn is a text.

    Raises:
        DataError: another turn than a user's shows a picture, for which the API has no place.
    """
    return [
        {"role": said.role, "content": message_content(said.parts) if said.role == "user" else _words(said)}
        for said in said_of(question)
    ]


def _words(said: Said) -> str:
    if not all(isinstance(part, str) for part in said.parts):
        raise DataError(
            f"expected pictures in turns of the user alone, as endpoints take them, got one in a turn of {said.role}. "
            "Write its mark into a question, or ask a local model."
        )
    return "".join(part for part in said.parts if isinstance(part, str))


def message_content(parts: Sequence[Picture | str]) -> list[dict[str, Any]]:
    """Texts and pictures as the parts of an OpenAI message."""
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": _inline(part)}}
        for part in parts
    ]


def _inline(picture: Picture) -> str:
    buffer = BytesIO()
    picture.open().save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
