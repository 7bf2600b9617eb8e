"""Answer questions with a local model: greedy, in left-padded batches, each distinct picture encoded once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence as Many
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sightline.data.images import content_key
from sightline.data.processors import feature_token_id, hole_id
from sightline.errors import InputError
from sightline.models.families import family_of
from sightline.models.load import LoadedVlm
from sightline.types import THROUGH_MODEL, Answer, Question

DEFAULT_BATCH_SIZE = 64


@dataclass(frozen=True)
class _Prompt:
    """A rendered question and what decides which batch it joins.

    Attributes:
        place: index of the question among those asked.
        text_ids: the text's token ids, with one placeholder for the picture.
    """

    place: int
    text: str
    text_ids: list[int]
    image: Image.Image | None
    image_key: str
    max_new_tokens: int


class LocalAnswerer:
    """An `Answerer` over a loaded model. What it answers to a question depends neither on the batch nor on its size."""

    def __init__(self, loaded: LoadedVlm, batch_size: int = DEFAULT_BATCH_SIZE) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}.")
        self.name = loaded.name
        self.model: Any = loaded.model
        self.processor: Any = loaded.processor
        self.batch_size = batch_size
        self.processor.tokenizer.padding_side = "left"  # KOSMOS-2's processor takes no argument for it
        if not self.processor.chat_template:
            raise InputError(
                f"{self.name} has no chat template, so a question cannot be put into its words. "
                "Save one with the processor (`processor.chat_template = ...`, `processor.save_pretrained(FOLDER)`)."
            )

    def answer(self, questions: Many[Question]) -> Iterator[Answer]:
        """One answer per question, in order; the longest common start of those known is yielded after each batch.

        Memory grows with the distinct pictures among `questions`: hand over thousands in several calls.
        """
        was_training = self.model.training
        self.model.eval()
        try:
            yield from self._answer(questions)
        finally:
            self.model.train(was_training)

    def _answer(self, questions: Many[Question]) -> Iterator[Answer]:
        features = _Features(self.model, self.processor)
        known: dict[int, Answer] = {}
        due = 0
        for batch in _batches(self._render(questions), self.batch_size):
            known |= self._answer_batch(batch, features)
            while due in known:
                yield known.pop(due)
                due += 1

    def _render(self, questions: Many[Question]) -> list[_Prompt]:
        keys: dict[int, str] = {}
        prompts = []
        for place, question in enumerate(questions):
            parts = [{"type": "text", "text": question.text}]
            if question.image is not None:
                keys.setdefault(id(question.image), content_key(question.image))
                parts.insert(0, {"type": "image"})
            text = self.processor.apply_chat_template(
                [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
            )
            key = keys.get(id(question.image), "")
            prompts.append(_Prompt(place, text, self._tokenize(text), question.image, key, question.max_new_tokens))
        return prompts

    def _tokenize(self, text: str) -> list[int]:
        """Token ids; the tokenizer's own start token only where the template wrote none, as in transformers."""
        tokenizer = self.processor.tokenizer
        starts = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
        ids: list[int] = tokenizer(text, add_special_tokens=not starts)["input_ids"]
        return ids

    def _answer_batch(self, batch: list[_Prompt], features: _Features) -> dict[int, Answer]:
        """Answers by place. A batch that fails is halved until the prompt that cannot be answered stands alone."""
        try:
            texts = self._generate(batch, features)
        except (RuntimeError, ValueError) as error:
            if len(batch) == 1:
                return {batch[0].place: Answer("", error=f"{type(error).__name__}: {error}")}
            middle = len(batch) // 2
            return self._answer_batch(batch[:middle], features) | self._answer_batch(batch[middle:], features)
        return {prompt.place: Answer(text) for prompt, text in zip(batch, texts, strict=True)}

    @torch.inference_mode()
    def _generate(self, batch: list[_Prompt], features: _Features) -> list[str]:
        inputs = features.inputs(batch) or self._plain_inputs(batch)
        prompt_length = inputs["input_ids"].shape[1]
        ids = self.model.generate(**inputs, generation_config=self._greedy(batch[0].max_new_tokens))
        texts = self.processor.batch_decode(ids[:, prompt_length:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _plain_inputs(self, batch: list[_Prompt]) -> dict[str, Any]:
        """What the processor makes of texts and pictures, for families without a way to hand over features."""
        images = [[prompt.image] for prompt in batch] if batch[0].image is not None else None
        bos = self.processor.tokenizer.bos_token
        encoded = self.processor(
            text=[prompt.text for prompt in batch],
            images=images,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=not (bos and batch[0].text.startswith(bos)),
        )
        return dict(encoded.to(self.model.device, self.model.dtype))

    def _greedy(self, max_new_tokens: int) -> Any:
        """The model's own generation settings (stop tokens, penalties) without sampling or beams."""
        config = copy.deepcopy(self.model.generation_config)
        config.update(do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None, use_cache=True)
        config.update(max_length=None, max_new_tokens=max_new_tokens)
        if config.pad_token_id is None:
            config.pad_token_id = self.processor.tokenizer.pad_token_id
        return config


class _Features:
    """Inputs whose pictures went through the tower once, however many questions ask about them."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.family = family_of(model)
        self.encoded: dict[str, tuple[list[int], torch.Tensor]] = {}

    def inputs(self, batch: list[_Prompt]) -> dict[str, Any] | None:
        """Left-padded ids with their features, or None for a family whose features cannot be handed over."""
        # Grid positions, blocks and deeper layers need more than features: there the processor's inputs are used.
        facts = self.family
        if facts is None or facts.grid_input or facts.both_ways or facts.deepstack:
            return None
        if facts.features_enter != THROUGH_MODEL:  # `generate` has no place for embeddings and token ids both
            return None
        self._encode({prompt.image_key: prompt.image for prompt in batch if prompt.image is not None})
        rows = [self._expanded(prompt) for prompt in batch]
        length = max(len(row) for row in rows)
        pad = self.processor.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        inputs = {"input_ids": ids.to(self.model.device), "attention_mask": mask.to(self.model.device)}
        features = [self.encoded[prompt.image_key][1] for prompt in batch if prompt.image is not None]
        if not features:
            return inputs
        table = torch.cat(features)
        output: Any = [table] if facts.features_listed else table
        return {**inputs, "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=output)}}

    def _expanded(self, prompt: _Prompt) -> list[int]:
        """The prompt's ids with the placeholder replaced by its picture's tokens."""
        ids = prompt.text_ids
        if prompt.image is None:
            return ids
        holes = [index for index, token in enumerate(ids) if token == hole_id(self.processor)]
        if len(holes) != 1:
            raise ValueError(f"the chat template wrote {len(holes)} image placeholders for one image")
        return [*ids[: holes[0]], *self.encoded[prompt.image_key][0], *ids[holes[0] + 1 :]]

    def _encode(self, images: dict[str, Image.Image]) -> None:
        missing = {key: image for key, image in images.items() if key not in self.encoded}
        if not missing:
            return
        outputs = self.processor(
            images=[[image] for image in missing.values()],
            text=[self.processor.image_token] * len(missing),
            padding=True,
            padding_side="right",
            return_tensors="pt",
            add_special_tokens=False,
        ).to(self.model.device, self.model.dtype)
        assert self.family is not None
        tensors = {name: outputs[name] for name in self.family.image_inputs if name in outputs}
        features = self.model.base_model.get_image_features(**tensors, return_dict=True).pooler_output
        table = features if isinstance(features, torch.Tensor) else torch.cat(list(features))
        counts = (outputs["input_ids"] == feature_token_id(self.processor)).sum(dim=1).tolist()
        parts = table.reshape(-1, table.shape[-1]).split(counts)
        lengths = outputs["attention_mask"].sum(dim=1).tolist()
        for key, ids, length, part in zip(missing, outputs["input_ids"].tolist(), lengths, parts, strict=True):
            self.encoded[key] = (ids[:length], part)


def _batches(prompts: list[_Prompt], batch_size: int) -> Iterator[list[_Prompt]]:
    """Prompts of like length together (padding costs), the shortest first; pictures or none, one answer length."""

    def kind(prompt: _Prompt) -> tuple[int, bool, tuple[int, int]]:
        size = prompt.image.size if prompt.image is not None else (0, 0)
        return prompt.max_new_tokens, prompt.image is not None, size

    ordered = sorted(prompts, key=lambda prompt: (kind(prompt), len(prompt.text_ids), prompt.place))
    batch: list[_Prompt] = []
    for prompt in ordered:
        if batch and (len(batch) == batch_size or kind(prompt)[:2] != kind(batch[0])[:2]):
            yield batch
            batch = []
        batch.append(prompt)
    if batch:
        yield batch
