"""A ViLT of a few thousand weights, in memory, with texts and pictures of several sizes to feed it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import ViltConfig

from sightline.models.vilt.start import Start, ViltSizes, build_start

TEXTS = ("a red circle", "two blue squares and a green triangle", "what color is the circle", "is there a red square")
SIZES = ViltSizes(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    image_size=32,
    patch_size=8,
    max_text_length=16,
    vocab_size=200,
    dropout=0.0,
)


def tiny_config(**extra: Any) -> ViltConfig:
    """The config alone, with larger weights than usual, so that errors show."""
    return ViltConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        max_position_embeddings=16,
        initializer_range=0.3,
        pad_token_id=0,
        **extra,
    )


def tiny_start(seed: int = 0, **sizes: Any) -> Start:
    """A start from scratch, with its vocabulary and processor."""
    return build_start(ViltSizes(**{**SIZES.__dict__, **sizes}), TEXTS, seed=seed)


def tiny_batch(sizes: list[tuple[int, int]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Texts of 4 to 9 tokens with drawn pictures of the given heights and widths, padded."""
    generator = torch.Generator().manual_seed(seed)
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    lengths = [9 - 2 * (row % 3) for row in range(len(sizes))]
    pixels = torch.zeros(len(sizes), 3, height, width)
    pixel_mask = torch.zeros(len(sizes), height, width, dtype=torch.long)
    ids = torch.zeros(len(sizes), max(lengths), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, ((high, wide), length) in enumerate(zip(sizes, lengths, strict=True)):
        pixels[row, :, :high, :wide] = torch.rand(3, high, wide, generator=generator) * 2 - 1
        pixel_mask[row, :high, :wide] = 1
        ids[row, :length] = torch.randint(5, 60, (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels, "pixel_mask": pixel_mask}
