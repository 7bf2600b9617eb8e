"""A family's forest beside its plain rows: three preference examples in one row, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.data.encoding.sequences import EncodedBatch, EncodingSettings, SequenceEncoder
from sightline.engine.forest import Forest, build_forest
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.models.families import family_of
from tests.families.tiny_families import ONE_IMAGE, WITHOUT_TEMPLATE, saved_family


def picture(seed: int, width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def preference(images: list[Image.Image], question: str, chosen: str, rejected: str) -> dict[str, Any]:
    parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": question}]
    return {
        "images": images,
        "prompt": [{"role": "user", "content": parts}],
        "chosen": [{"role": "assistant", "content": [{"type": "text", "text": chosen}]}],
        "rejected": [{"role": "assistant", "content": [{"type": "text", "text": rejected}]}],
    }


def preference_rows(name: str = "") -> list[dict[str, Any]]:
    """Three examples: images of three sizes, two in the last example, answers longer than Gemma's window.

    For a family of one image a prompt each with its first, and without a chat template as plain texts.
    """
    wide, tall, square = picture(0, 60, 30), picture(1, 30, 60), picture(2, 36, 36)
    rows = [
        preference([wide], "what is this ?", "red circle and blue square", "red triangle"),
        preference([tall], "describe the picture .", "a large green circle is left of it", "blue"),
        preference([square, wide], "how many ?", "three", "one two three and no small green word"),
    ]
    if name in ONE_IMAGE:
        rows[2] = preference([square], "how many ?", "three", "one two three and no small green word")
    return [as_text(row) for row in rows] if name in WITHOUT_TEMPLATE else rows


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    """The row with plain texts and its first image."""
    texts = {column: row[column][0]["content"][-1]["text"] for column in ("prompt", "chosen", "rejected")}
    return {"images": row["images"][:1], **texts}


class Case:
    """A family's model with its rows encoded and laid out in one packed row."""

    def __init__(self, name: str, folder: Path) -> None:
        self.model, processor = saved_family(name, folder)
        self.model.eval()
        facts = family_of(self.model)
        assert facts is not None
        self.facts = facts
        self.route = facts.routes[0]
        encoder = SequenceEncoder(processor, EncodingSettings())
        self.batch: EncodedBatch = encoder.encode_preferences(preference_rows(name))
        self.pad_id = processor.tokenizer.pad_token_id
        self.forest = build_forest(self.batch.sequences, self.pad_id, max_row=4096, both_ways=facts.both_ways)

    def shared(self, forest: Forest | None = None) -> list[torch.Tensor]:
        return score_sequences(self.model, self.facts, forest or self.forest, self.batch.image_inputs, self.route)

    def plain(self) -> list[torch.Tensor]:
        batch = self.batch
        inputs = plain_inputs(batch.sequences, batch.image_inputs, self.pad_id, batch.counts, self.facts)
        return score_plain(self.model, inputs)

    @contextmanager
    def training(self, checkpointing: bool) -> Iterator[None]:
        """The model as a trainer runs it, with gradient checkpointing as TRL sets it or without."""
        self.model.train()
        if checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        try:
            yield
        finally:
            self.model.activation_checkpointing_disable()
            self.model.eval()

    def gradients(self, scores: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        self.model.zero_grad()
        torch.stack([(index - 1.3) * score.sum() for index, score in enumerate(scores)]).sum().backward()
        return {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}


def difference(left: list[torch.Tensor], right: list[torch.Tensor]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(left, right, strict=True))


def gradient_error(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Largest difference over parameters, relative to the parameter's largest gradient.

    A parameter whose gradients are all tiny is measured against 1e-4 of the largest of the model.
    """
    scale = max(float(gradient.abs().max()) for gradient in theirs.values())
    return max(
        float((gradient - ours[name]).abs().max()) / (float(gradient.abs().max()) + 1e-4 * scale)
        for name, gradient in theirs.items()
    )
