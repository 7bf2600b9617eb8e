"""Ask a model in transformers' own way: `generate` in left-padded batches, and its forward."""

# Dims: L tokens, T tokens behind a prompt, V vocabulary.
from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.encoding.prompts import Prompt, option_ids
from sightline.errors import InputError
from sightline.models.families import family_of
from sightline.models.load import LoadedVlm
from sightline.types import CUT, ENDED, PROMPT, Answer, OptionScore, Sampling

PADDING = 8
_TYPE_INPUTS = ("token_type_ids", "mm_token_type_ids", "image_embeds_position_mask")  # 1 in images, 0 for text
# Settings that change what greedy decoding chooses, other than the repetition penalty.
_CHOICE_SETTINGS = (
    "min_length", "min_new_tokens", "stop_strings", "encoder_repetition_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id",
    "exponential_decay_length_penalty", "begin_suppress_tokens", "sequence_bias", "guidance_scale",
    "watermarking_config",
)  # fmt: skip
_NEUTRAL = {"encoder_repetition_penalty": 1.0, "guidance_scale": 1.0}


@dataclass(frozen=True)
class GreedyRules:
    """What a model's generation settings say of greedy decoding.

    Attributes:
        stop_ids: tokens that end an answer.
        repetition_penalty: 1 for none.
        others: names of further settings that change which token is chosen.
        forbidden_ids: tokens that are never chosen.
    """

    stop_ids: frozenset[int]
    repetition_penalty: float
    others: tuple[str, ...]
    forbidden_ids: frozenset[int] = frozenset()


def greedy_rules(model: Any) -> GreedyRules:
    """The rules of a model's own generation settings.

    Raises:
        InputError: they are no numbers.
    """
    config = model.generation_config
    stop = config.eos_token_id
    values = {name: getattr(config, name, None) for name in _CHOICE_SETTINGS}
    others = tuple(name for name, value in values.items() if value not in (None, 0, [], _NEUTRAL.get(name)))
    try:
        stops = stop if isinstance(stop, list | tuple) else [] if stop is None else [stop]
        penalty = 1.0 if config.repetition_penalty is None else float(config.repetition_penalty)
        if not penalty > 0:
            raise ValueError
        forbidden = frozenset(map(int, config.suppress_tokens or ()))
        return GreedyRules(frozenset(map(int, stops)), penalty, others, forbidden)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"generation_config.json: expected numbers at eos_token_id and repetition_penalty (above 0), and at "
            f"suppress_tokens if there, got {str(stop)[:60]!r}, {str(config.repetition_penalty)[:60]!r} and "
            f"{str(config.suppress_tokens)[:60]!r}. Mend the model's folder."
        ) from error


@torch.inference_mode()
def generate_answers(
    loaded: LoadedVlm, prompts: Sequence[Prompt], max_new_tokens: int, sampling: Sampling | None = None
) -> list[Answer]:
    """The model's answers to prompts that all have pictures or all have none: the likeliest ones, or drawn ones.

    What is drawn for a prompt depends on those before it, and torch's own random numbers go on as if nothing had been.
    """
    inputs = _processed(loaded, prompts)
    config = greedy_settings(loaded, max_new_tokens)
    if sampling is not None:
        config.update(do_sample=True, temperature=sampling.temperature, top_p=1.0, top_k=0)
    with torch.random.fork_rng(enabled=sampling is not None):
        if sampling is not None:
            torch.manual_seed(sampling.seed)
        ids = loaded.model.generate(**inputs, generation_config=config, **words_to_stop(loaded, config))
    said = ids[:, inputs["input_ids"].shape[1] :].tolist()
    facts = family_of(loaded.model)
    end_word = "" if facts is None else facts.end_word
    answers = decoded_answers(loaded.processor, said, greedy_rules(loaded.model).stop_ids, end_word)
    return [before_stops(answer, config.stop_strings) for answer in answers]


def words_to_stop(loaded: LoadedVlm, config: Any) -> dict[str, Any]:
    """What `generate` needs besides its settings where those name words that end an answer (`stop_strings`)."""
    return {"tokenizer": loaded.processor.tokenizer} if config.stop_strings else {}


def before_stops(answer: Answer, stops: str | Sequence[str] | None) -> Answer:
    """The answer up to the first of these words, which ends it.

    >>> before_stops(Answer("red<END> and", finish_reason=CUT), "<END>").text
    'red'
    """
    words = [stops] if isinstance(stops, str) else stops or ()
    ends = [answer.text.index(word) for word in words if word in answer.text]
    return replace(answer, text=answer.text[: min(ends)].strip(), finish_reason=ENDED) if ends else answer


def decoded_answers(
    processor: Any, ids: Sequence[Sequence[int]], stop_ids: Collection[int], end_word: str = ""
) -> list[Answer]:
    """Answers without special tokens, outer blanks and the word that ends them; one without a stop token ended at its
    longest."""
    texts = processor.batch_decode(ids, skip_special_tokens=True)
    return [
        Answer(
            text.strip().removesuffix(end_word).strip(), finish_reason=CUT if set(stop_ids).isdisjoint(said) else ENDED
        )
        for text, said in zip(texts, ids, strict=True)
    ]


@torch.inference_mode()
def plain_logits(loaded: LoadedVlm, prompt: Prompt, ids: Sequence[int], padded: bool = False) -> Tensor:
    """Logits (T, V) that the model's own forward has for each of `ids` behind a prompt.

    `padded` puts padding behind the ids, which changes nothing but rounding.
    """
    inputs = _processed(loaded, [prompt])
    start = inputs["input_ids"].shape[1]
    padding = PADDING if padded else 0
    tail = torch.tensor([[*ids, *[_pad_id(loaded)] * padding]], device=inputs["input_ids"].device)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
    seen = torch.ones_like(tail)
    seen[:, len(ids) :] = 0
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], seen], dim=1)
    for name, kind in _types_behind(loaded, inputs).items():
        own = inputs.get(name, torch.zeros_like(inputs["input_ids"][:, :start]))
        inputs[name] = torch.cat([own, torch.full_like(tail, kind)], dim=1)
    logits: Tensor = loaded.model(**inputs, use_cache=False).logits[0]
    return logits[start - 1 : start - 1 + len(ids)]


def plain_option_scores(loaded: LoadedVlm, prompt: Prompt, options: Sequence[str]) -> tuple[OptionScore, ...]:
    """How likely the model finds each option, each in a row of its own."""
    scores = []
    for option in options:
        ids = option_ids(loaded.processor, option)
        logprobs_TV = plain_logits(loaded, prompt, ids.tolist()).float().log_softmax(-1).cpu()
        scores.append(OptionScore(float(logprobs_TV[np.arange(len(ids)), ids].sum()), len(ids)))
    return tuple(scores)


def picture_tokens(loaded: LoadedVlm, prompt: Prompt) -> int:
    """Tokens that each picture of a prompt takes, on average and rounded up; 0 without pictures."""
    if not prompt.pictures:
        return 0
    length = _processed(loaded, [prompt])["input_ids"].shape[1]
    return -(-(length - len(prompt.ids_L)) // len(prompt.pictures))


def processor_ids(loaded: LoadedVlm, prompt: Prompt) -> list[int]:
    """Token ids that the processor itself makes of a prompt with its pictures."""
    ids: list[int] = _processed(loaded, [prompt])["input_ids"][0].tolist()
    return ids


def _processed(loaded: LoadedVlm, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What the processor makes of prompts and their pictures, padded on the left."""
    images = [[picture.open() for picture in prompt.pictures] for prompt in prompts] if prompts[0].pictures else None
    loaded.processor.tokenizer.padding_side = "left"  # KOSMOS-2's processor takes no argument for it
    encoded = loaded.processor(
        text=[prompt.text for prompt in prompts],
        images=images,
        padding=True,
        padding_side="left",
        return_tensors="pt",
        add_special_tokens=prompts[0].adds_tokens,
    )
    inputs = dict(encoded.to(loaded.model.device, loaded.model.dtype))
    inputs.pop("labels", None)  # PaliGemma's processor makes some for prompts, too
    return inputs


def _types_behind(loaded: LoadedVlm, inputs: dict[str, Any]) -> dict[str, int]:
    """The per-token inputs that a family wants, and what they hold for text behind a prompt."""
    facts = family_of(loaded.model)
    if facts is not None and facts.both_ways == PROMPT:
        return {facts.type_input: 1}
    return {name: 0 for name in _TYPE_INPUTS if name in inputs}


def greedy_settings(loaded: LoadedVlm, max_new_tokens: int) -> Any:
    """The model's own generation settings (stop tokens, penalties) without sampling or beams."""
    config = copy.deepcopy(loaded.model.generation_config)
    # Those of sampling at transformers' defaults: None would be filled with the model's own, and warned of as unused.
    config.update(do_sample=False, num_beams=1, temperature=1.0, top_p=1.0, top_k=50, use_cache=True)
    config.update(max_length=None, max_new_tokens=max_new_tokens, pad_token_id=_pad_id(loaded))
    return config


def _pad_id(loaded: LoadedVlm) -> int:
    own = loaded.model.generation_config.pad_token_id
    pad: int | None = loaded.processor.tokenizer.pad_token_id if own is None else own
    return 0 if pad is None else pad
