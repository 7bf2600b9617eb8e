"""Answer questions with a model that reads by an encoder and speaks by a decoder (Florence-2): one look per image."""

# Dims: K tokens of an option, V vocabulary.
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sightline.answering.local import LocalAnswerer, evaluating
from sightline.data.encoding.prompts import Prompt, check_template, option_ids, render_prompt
from sightline.engine.features import shown_pictures
from sightline.errors import DataError
from sightline.models.generate import before_stops, greedy_rules, greedy_settings, words_to_stop
from sightline.models.load import LoadedVlm
from sightline.types import CUT, ENDED, Answer, OptionScore, Question


def answerer_of(
    loaded: LoadedVlm,
    batch_tokens: int | None = None,
    share: bool = True,
    say: Callable[[str], None] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> LocalAnswerer | EncoderDecoderAnswerer:
    """Who answers with a loaded model; the arguments are those of `LocalAnswerer`."""
    if loaded.model.config.is_encoder_decoder:
        return EncoderDecoderAnswerer(loaded, arguments)
    return LocalAnswerer(loaded, batch_tokens, share, say, arguments)


@dataclass(frozen=True)
class _Asked:
    """A question, its place among those asked, and the key of its picture, empty without one."""

    place: int
    question: Question
    prompt: Prompt
    picture: str


class EncoderDecoderAnswerer:
    """An `Answerer` over a loaded encoder-decoder: by its own `generate`, each distinct picture encoded once.

    The encoder reads picture and question together and both ways, so a picture's features are all that questions share.
    """

    def __init__(self, loaded: LoadedVlm, arguments: Mapping[str, Any] | None = None) -> None:
        check_template(loaded.processor, loaded.name)
        self.name, self.loaded, self.arguments = loaded.name, loaded, arguments
        self.rules = greedy_rules(loaded.model)
        tokenizer: Any = loaded.processor.tokenizer
        self._start = loaded.model.generation_config.decoder_start_token_id
        self._around = {self._start, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order, as soon as those before are known; one picture's questions go together."""
        asked, answers = self._render(questions)
        due = 0
        with evaluating(self.loaded.model):
            for picture in dict.fromkeys(one.picture for one in asked):
                answers |= self._about([one for one in asked if one.picture == picture])
                while due in answers:
                    yield answers.pop(due)
                    due += 1
        while due in answers:
            yield answers.pop(due)
            due += 1

    def _render(self, questions: Sequence[Question]) -> tuple[list[_Asked], dict[int, Answer]]:
        """The questions in the model's words, and the errors of those that cannot be put into them, by place."""
        asked, failed = [], {}
        for place, question in enumerate(questions):
            try:
                prompt = render_prompt(self.loaded.processor, question, self.arguments)
                keys = [one.key for one in shown_pictures(self.loaded.processor, prompt.pictures)]
                if len(keys) > 1:
                    raise DataError(f"{len(keys)} images, but {self.name} takes one image a prompt. Keep one of them.")
                asked.append(_Asked(place, question, prompt, "".join(keys)))
            except Exception as error:  # a template may raise anything for a text it does not take
                failed[place] = _failed(error)
        return asked, failed

    @torch.inference_mode()
    def _about(self, asked: list[_Asked]) -> dict[int, Answer]:
        """Answers by place to questions about one picture, or without any."""
        answers: dict[int, Answer] = {}
        image = features = None
        for one in asked:
            try:
                if image is None and one.prompt.pictures:
                    image = one.prompt.pictures[0].open()
                inputs = self._inputs(one, image)
                pixels = inputs.pop("pixel_values", None)
                if pixels is not None:
                    features = self.loaded.inner.get_image_features(pixels) if features is None else features
                    inputs["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(None, features.pooler_output)}
                answers[one.place] = self._score(one, inputs) if one.question.options else self._say(one, inputs)
            except Exception as error:  # whatever a picture, a processor or a model raises is an error of its question
                answers[one.place] = _failed(error)
        return answers

    def _inputs(self, one: _Asked, image: Any) -> dict[str, Any]:
        images = None if image is None else [[image]]
        encoded = self.loaded.processor(text=[one.prompt.text], images=images, return_tensors="pt")
        return dict(encoded.to(self.loaded.model.device, self.loaded.model.dtype))

    def _say(self, one: _Asked, inputs: Mapping[str, Any]) -> Answer:
        """The likeliest answer, or a drawn one, with words for places (`<loc_12>`) and without those around it."""
        config = greedy_settings(self.loaded, one.question.max_new_tokens)
        sampling = one.question.sampling
        with torch.random.fork_rng(enabled=sampling is not None):
            if sampling is not None:
                config.update(do_sample=True, temperature=sampling.temperature, top_p=1.0, top_k=0)
                torch.manual_seed(sampling.seed)
            told = words_to_stop(self.loaded, config)
            (ids,) = self.loaded.model.generate(**inputs, generation_config=config, **told).tolist()
        said = ids[1:]  # behind the token that the decoder starts from
        ended = not self.rules.stop_ids.isdisjoint(said)
        text = self.loaded.processor.tokenizer.decode([token for token in said if token not in self._around])
        return before_stops(Answer(text.strip(), finish_reason=ENDED if ended else CUT), config.stop_strings)

    def _score(self, one: _Asked, inputs: Mapping[str, Any]) -> Answer:
        """How likely the decoder finds each option behind its start; the encoder reads the prompt once."""
        encoded = self._encoded(inputs)
        scores = []
        for option in one.question.options:
            ids_K = torch.tensor(option_ids(self.loaded.processor, option), device=self.loaded.model.device)
            started_K = torch.cat([ids_K.new_tensor([self._start]), ids_K[:-1]])
            logits_KV = self.loaded.model(
                encoder_outputs=encoded, attention_mask=inputs["attention_mask"], decoder_input_ids=started_K[None]
            ).logits[0]
            logprob_K = logits_KV.float().log_softmax(-1).gather(1, ids_K[:, None])
            scores.append(OptionScore(float(logprob_K.sum()), len(ids_K)))
        return Answer(options=tuple(scores))

    def _encoded(self, inputs: Mapping[str, Any]) -> Any:
        """What the encoder makes of a prompt, with the picture's features in place, as `generate` does it."""
        model = self.loaded.inner
        kept = {name: value for name, value in inputs.items() if name != "input_ids"}
        prepared = model._maybe_prepare_encoder_kwargs_for_generation(  # transformers 5.23
            inputs["input_ids"], kept, "input_ids", model.generation_config
        )
        return prepared["encoder_outputs"]


def _failed(error: Exception) -> Answer:
    return Answer(error=f"{type(error).__name__}: {error}")
