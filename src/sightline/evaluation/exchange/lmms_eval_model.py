"""A model class for lmms-eval that answers through our answerer; only lmms-eval imports it."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lmms_eval.api.model import lmms

from sightline.answering.asking import WINDOW, ask_all
from sightline.answering.encoder_decoder import answerer_of
from sightline.answering.requests import Request, request_of
from sightline.data.encoding.prompts import MARK
from sightline.data.pictures.images import open_image, opened
from sightline.errors import InputError, MachineError
from sightline.models.load import load_vlm
from sightline.types import Answer, Picture, Question

MAX_NEW_TOKENS = 1024  # lmms-eval's own, where a task names none
_INJECTED = "\n\n"  # what lmms-eval stops at where a task names nothing: it would cut off reasoning


class _Sightline(lmms):
    """What both forms have in common: the loaded model, and asking it everything at once."""

    def __init__(
        self,
        pretrained: str,
        adapter: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        batch_size: Any = None,
        max_batch_size: Any = None,
    ) -> None:
        """`batch_size` is taken and not used: batches fill a budget of tokens, and no answer depends on them."""
        super().__init__()
        loaded = load_vlm(pretrained, device=device or _own_device(), adapter=adapter)
        self.answerer = answerer_of(loaded, batch_tokens)

    @property
    def device(self) -> Any:
        """Where the model is; lmms-eval gathers counts there."""
        return self.answerer.loaded.model.device

    def generate_until(self, requests: Any) -> list[str]:
        """The answers, in the order of the requests."""
        return self._in_windows(requests, self._generate)

    @abstractmethod
    def _asked(self, request: Any) -> Question:
        """What a request of `generate_until` asks."""

    def _generate(self, requests: Any) -> list[str]:
        answers = self._answers([self._asked(request) for request in requests])
        return [_cut(answer.text, _settings(request)) for answer, request in zip(answers, requests, strict=True)]

    def generate_until_multi_round(self, requests: Any) -> Any:
        """Refused: no conversation of several rounds."""
        raise InputError("Sightline answers one turn: leave out tasks of output_type generate_until_multi_round.")

    def _in_windows(self, requests: Any, answer: Callable[[Any], list[Any]]) -> list[Any]:
        """What `answer` makes of the requests, so many at a time that their pictures fit into memory."""
        return [one for start in range(0, len(requests), WINDOW) for one in answer(requests[start : start + WINDOW])]

    def _document(self, task: str, split: str, doc_id: int) -> Any:
        return self.task_dict[task][split][doc_id]

    def _answers(self, questions: Iterable[Question]) -> list[Answer]:
        """One answer per question; equal questions are asked once.

        Raises:
            MachineError: one was not answered; lmms-eval has no place for an error, and an empty answer would be one.
        """
        requests: list[Request] = [request_of(question, "") for question in questions]
        known = ask_all(self.answerer, requests)
        failed = [request for request in requests if known[request.key].error]
        if failed:
            first = failed[0]
            raise MachineError(
                f"{len(failed)} of {len(requests)} questions were not answered. The first, "
                f"{first.question.text[:80]!r}: {known[first.key].error}"
            )
        return [known[request.key] for request in requests]


class SightlineChat(_Sightline):
    """Tasks in chat form, lmms-eval's default: the messages of one user turn."""

    is_simple = False

    def _asked(self, request: Any) -> Question:
        _, doc_to_messages, settings, doc_id, task, split = request.args
        return _question(_turn(doc_to_messages(self._document(task, split, doc_id)), task), settings, task)

    def loglikelihood(self, requests: Any) -> Any:
        """Refused: lmms-eval asks for it in simple form."""
        raise InputError("lmms-eval asks for likelihoods in simple form only. Add --force_simple.")


class SightlineSimple(_Sightline):
    """Tasks in simple form (`--force_simple`): a text behind its pictures; the form that likelihoods are asked in."""

    is_simple = True

    def _asked(self, request: Any) -> Question:
        context, settings, doc_to_visual, doc_id, task, split = request.args
        return _question([*self._visuals(doc_to_visual, doc_id, task, split), context], settings, task)

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        """For each continuation its negative log-probability per token, of which lmms-eval 0.7.3 takes the least, and
        whether greedy decoding says it.

        Continuations of one context share its reading.
        """
        return self._in_windows(requests, self._likelihoods)

    def _likelihoods(self, requests: Any) -> list[tuple[float, bool]]:
        asked, continuations = [], []
        for request in requests:
            if len(request.args) != 6:
                raise InputError("A likelihood without its question was asked for: leave out acc_mutual_info.")
            context, target, doc_to_visual, doc_id, task, split = request.args
            document = self._document(task, split, doc_id)
            # Behind a chat template an answer starts a turn, and lmms-eval's blank before it would be a token more.
            continuations.append(str(target(document) if callable(target) else target).lstrip())
            parts = [*self._visuals(doc_to_visual, doc_id, task, split), context]
            asked.append(_question(parts, {}, task, options=(continuations[-1],)))
        scores = [answer.options[0] for answer in self._answers(asked)]
        greedy = self._answers(
            Question(question.text, question.pictures, max_new_tokens=score.tokens)
            for question, score in zip(asked, scores, strict=True)
        )
        return [
            (-score.logprob / max(1, score.tokens), answer.text.strip() == continuation.strip())
            for score, answer, continuation in zip(scores, greedy, continuations, strict=True)
        ]

    def _visuals(self, doc_to_visual: Any, doc_id: int, task: str, split: str) -> list[Picture]:
        visuals = doc_to_visual(self._document(task, split, doc_id)) or ()
        return [opened(open_image(visual, task)) for visual in visuals]


def _own_device() -> str | None:
    """This process's GPU under a launcher; None where there is no choice."""
    local = os.environ.get("LOCAL_RANK")
    return f"cuda:{local}" if local and torch.cuda.is_available() else None


def _turn(messages: Sequence[Mapping[str, Any]], task: str) -> list[str | Picture]:
    """Texts and pictures of the one user turn. Raises InputError where there are other turns, or other media."""
    roles = [message["role"] for message in messages]
    if roles != ["user"]:
        raise InputError(
            f"{task}: expected one user turn, got {', '.join(roles)}. Leave out few-shot and system texts."
        )
    parts: list[str | Picture] = []
    for part in messages[0]["content"]:
        if part["type"] not in ("text", "image"):
            raise InputError(f"{task}: expected texts and pictures, got {part['type']}. Leave the task out.")
        parts.append(part["text"] if part["type"] == "text" else opened(open_image(part["url"], task)))
    return parts


def _question(
    parts: Sequence[str | Picture], settings: Mapping[str, Any], task: str, options: tuple[str, ...] = ()
) -> Question:
    """A question of texts and pictures in their order.

    Raises:
        InputError: the settings ask for sampling or beams, or a text in front of a picture looks like a mark of one.
    """
    sampled = settings.get("do_sample") or (settings.get("temperature") or 0) > 0
    if sampled or (settings.get("num_beams") or 1) > 1:
        raise InputError(
            f"{task}: expected greedy decoding, got {dict(settings)}. Set --gen_kwargs temperature=0,do_sample=False."
        )
    text, said, pictures = "", "", []
    for part in parts:
        if isinstance(part, str):
            text, said = text + part, said + part
            continue
        if MARK.search(said):
            raise InputError(f"{task}: {MARK.search(said)} stands in a text before a picture. Leave the task out.")
        pictures.append(part)
        text += f"<image {len(pictures)}>"
    limit = int(settings.get("max_new_tokens") or MAX_NEW_TOKENS)
    return Question(text, tuple(pictures), limit, options)


def _settings(request: Any) -> Mapping[str, Any]:
    """The generation settings among a request's arguments, wherever its form has them."""
    return next(value for value in request.args if isinstance(value, Mapping))


def _cut(text: str, settings: Mapping[str, Any]) -> str:
    until = settings.get("until") or ()
    for stop in (until,) if isinstance(until, str) else until:
        if stop and stop != _INJECTED:
            text = text.split(stop)[0]
    return text
