"""Make a run's answerer (local, endpoint, ViLT or stored answers) and the fingerprint that keys its stored answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.secrets import without_secrets
from sightline.types import Answer, Answerer, Placed, Question

if TYPE_CHECKING:
    from sightline.models.endpoint import Endpoint
    from sightline.models.load import LoadedVlm
    from sightline.models.vilt.answers import ViltSpeaker

QUESTION_ALONE = "question alone"  # of models that know no instructions
BY_ID = "not known: stored predictions"  # what the model was asked; here the id of an item is all that is asked


@dataclass(frozen=True)
class Answering:
    """An answerer and what its answers depend on.

    Attributes:
        fingerprint: part of every answer's key in the journal; empty where answers are stored already.
        provenance: what a reproduction must have alike, for `results.json`.
        prompt: how it is asked, whatever the settings say: QUESTION_ALONE or BY_ID; empty where they say it.
        notes: what someone must know who reads the scores.
    """

    answerer: Answerer
    fingerprint: str
    provenance: Mapping[str, Any]
    prompt: str = ""
    notes: tuple[str, ...] = ()


def local_answering(
    loaded: LoadedVlm, batch_tokens: int | None = None, system: str = "", enable_thinking: bool | None = None
) -> Answering:
    """A loaded model; the fingerprint covers all that decides what it answers: weights, settings, adapters, processor,
    chat template, what stands around questions, tokenizer, decoding, and our own way from rows and pictures to its
    inputs.

    Args:
        system: a system message that questions will bring.

    Raises:
        InputError: the model's chat template takes no system message, or no `enable_thinking`.
    """
    from sightline.answering.encoder_decoder import answerer_of
    from sightline.data.encoding.prompts import template_arguments
    from sightline.engine.fingerprint import adapter_settings, fingerprint, generation_settings, stored_under

    processor: Any = loaded.processor
    arguments = template_arguments(processor, loaded.name, system, enable_thinking)
    answerer = answerer_of(loaded, batch_tokens, arguments=arguments)
    rules = answerer.rules
    provenance = {
        **_known_of(loaded.model, loaded.inner, processor),
        "adapter_settings": adapter_settings(loaded.model),
        "chat_template": fingerprint(processor.chat_template, processor.tokenizer.chat_template),
        **({"template_arguments": arguments} if arguments else {}),
        "attention": str(loaded.model.config.get_text_config()._attn_implementation),
        "decoding": {
            "strategy": "greedy",
            "stop_ids": sorted(rules.stop_ids),
            "repetition_penalty": rules.repetition_penalty,
            "others": list(rules.others),
            **({"forbidden_ids": sorted(rules.forbidden_ids)} if rules.forbidden_ids else {}),
            "settings": generation_settings(loaded.inner),
        },
    }
    return Answering(answerer, stored_under(provenance), provenance)


def vilt_answering(speaker: ViltSpeaker) -> Answering:
    """A ViLT; the fingerprint covers weights, settings, processor, tokenizer and the answers that it chooses among."""
    from sightline.engine.fingerprint import fingerprint, stored_under

    provenance = {
        **_known_of(speaker.model, speaker.model, speaker.processor),
        "answers": fingerprint(speaker.answers),
        "decoding": {"strategy": "the most probable answer"},
    }
    return Answering(speaker, stored_under(provenance), provenance, prompt=QUESTION_ALONE)


def _known_of(model: Any, inner: Any, processor: Any) -> dict[str, Any]:
    """What a run records of a model here: weights, adapters' among them, settings without PEFT's wrapper, processor."""
    from sightline.engine.fingerprint import (
        config_settings,
        processor_fingerprint,
        processor_settings,
        settings_fingerprint,
        tokenizer_fingerprint,
        weights_fingerprint,
    )

    return {
        "weights": weights_fingerprint(model),
        "model_settings": config_settings(inner.config),
        "modules": settings_fingerprint(inner),
        "processor": processor_fingerprint(processor),
        "processor_settings": processor_settings(processor),
        "tokenizer": tokenizer_fingerprint(processor.tokenizer),
        "dtype": str(model.dtype),
    }


def remote_answering(endpoint: Endpoint, opening: Sequence[dict[str, Any]] = ()) -> Answering:
    """A model behind an endpoint, of which only address, name and what it is sent are known; `opening` stands before
    every question."""
    from sightline.engine.fingerprint import stored_under
    from sightline.models.remote import EndpointAnswerer

    known: dict[str, Any] = {
        "endpoint": endpoint.address,
        "model": endpoint.model,
        "decoding": {
            "strategy": "as --extra_body says" if "temperature" in endpoint.extra_body else "greedy",
            **({"extra_body": without_secrets(endpoint.extra_body)} if endpoint.extra_body else {}),
        },
        **({"opening": list(opening)} if opening else {}),
    }
    return Answering(EndpointAnswerer(endpoint, opening), stored_under(known), known)


class StoredAnswerer:
    """A `ConcurrentAnswerer` whose answers were given before; a question's text is the id of what was asked.

    Args:
        answers: by id.
    """

    patience = math.inf  # an answer that is missing says nothing of the next one

    def __init__(self, name: str, answers: Mapping[str, Answer]) -> None:
        self.name = name
        self._answers = answers

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order."""
        for question in questions:
            yield self._answers[question.text]

    def answer_as_ready(self, questions: Sequence[Question]) -> Iterable[Placed]:
        """The same with their places."""
        for place, answer in enumerate(self.answer(questions)):
            yield Placed(place, answer)
