"""Who answers a run: a model here or behind an endpoint, with the fingerprint that its answers are kept by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence as Many
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.types import Answerer

if TYPE_CHECKING:
    from sightline.models.load import LoadedVlm
    from sightline.models.remote import Endpoint
    from sightline.models.vilt.answers import ViltSpeaker


@dataclass(frozen=True)
class Answering:
    """An answerer and what its answers depend on.

    Attributes:
        fingerprint: part of every answer's key in the journal.
        provenance: what a reproduction must have alike, for `results.json`.
        bare: whether it is asked the question alone, whatever a task's prompt says around it.
    """

    answerer: Answerer
    fingerprint: str
    provenance: Mapping[str, Any]
    bare: bool = False


def local_answering(loaded: LoadedVlm, batch_tokens: int | None = None) -> Answering:
    """A loaded model; the fingerprint covers weights, processor, chat template, tokenizer and stop tokens."""
    from sightline.engine.fingerprint import fingerprint, processor_fingerprint, weights_fingerprint
    from sightline.evaluation.local import LocalAnswerer

    answerer = LocalAnswerer(loaded, batch_tokens)
    processor: Any = loaded.processor
    decoding = {
        "strategy": "greedy",
        "stop_ids": sorted(answerer.rules.stop_ids),
        "repetition_penalty": answerer.rules.repetition_penalty,
        "others": list(answerer.rules.others),
    }
    provenance = {
        "weights": weights_fingerprint(loaded.model),
        "processor": processor_fingerprint(processor),
        "processor_settings": processor.image_processor.to_dict(),
        "chat_template": fingerprint(processor.chat_template),
        "tokenizer": fingerprint(sorted(processor.tokenizer.get_vocab().items())),
        "dtype": str(loaded.model.dtype),
        "attention": str(loaded.model.config.get_text_config()._attn_implementation),
        "decoding": decoding,
    }
    kept = {name: value for name, value in provenance.items() if name != "processor_settings"}
    return Answering(answerer, fingerprint(kept), provenance)


def vilt_answering(speaker: ViltSpeaker) -> Answering:
    """A ViLT; the fingerprint covers weights, processor, tokenizer and the answers that it chooses among."""
    from sightline.engine.fingerprint import fingerprint, processor_fingerprint, weights_fingerprint

    provenance = {
        "weights": weights_fingerprint(speaker.model),
        "processor": processor_fingerprint(speaker.processor),
        "processor_settings": speaker.processor.image_processor.to_dict(),
        "tokenizer": fingerprint(sorted(speaker.processor.tokenizer.get_vocab().items())),
        "answers": fingerprint(speaker.answers),
        "dtype": str(speaker.model.dtype),
        "decoding": {"strategy": "the most probable answer"},
    }
    kept = {name: value for name, value in provenance.items() if name != "processor_settings"}
    return Answering(speaker, fingerprint(kept), provenance, bare=True)


def remote_answering(endpoint: Endpoint, opening: Many[dict[str, Any]] = ()) -> Answering:
    """A model behind an endpoint, of which only address and name are known; `opening` stands before every question."""
    from sightline.engine.fingerprint import fingerprint
    from sightline.models.remote import EndpointAnswerer

    known: dict[str, Any] = {
        "endpoint": endpoint.url,
        "model": endpoint.model,
        "decoding": {"strategy": "greedy"},
        **({"opening": list(opening)} if opening else {}),
    }
    return Answering(EndpointAnswerer(endpoint, opening), fingerprint(known), known)
