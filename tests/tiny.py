"""Tiny models of real classes, built in code from a seed, and rows to train them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

WORDS = (
    "what is the colour shape of this picture red blue green circle square triangle a an and no yes how many one two "
    "three where left right describe it shows there are word chart user assistant : ? . , small large"
).split()
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ message['role'] + ' : ' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}{{ '</s>' }}{% endgeneration %}"
    "{% else %}{% if message['content'] is string %}{{ message['content'] + ' ' }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}"
    "{{ part['text'] + ' ' }}{% endif %}{% endfor %}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)
# Settings of a training run of a few steps that writes nothing but its log of each step.
SHORT_RUN: dict[str, Any] = {
    "report_to": [],
    "max_length": None,
    "bf16": False,
    "gradient_checkpointing": False,
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
    "logging_strategy": "steps",
}


def tiny_processor(image_size: int = 32, patch_size: int = 8) -> LlavaProcessor:
    """LLaVA's processor over a word-level tokenizer and a small picture."""
    vocabulary = {word: index for index, word in enumerate([*SPECIALS, *dict.fromkeys(WORDS)])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
    size = {"height": image_size, "width": image_size}
    images = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    return LlavaProcessor(
        images, tokenizer, patch_size=patch_size, vision_feature_select_strategy="full", chat_template=TEMPLATE
    )


def tiny_llava(seed: int = 0, image_size: int = 32, patch_size: int = 8) -> LlavaForConditionalGeneration:
    """A LLaVA of about 40,000 parameters with larger weights than usual, so that errors show."""
    torch.manual_seed(seed)
    tower = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=patch_size,
        projection_dim=32,
    )
    decoder = LlamaConfig(
        vocab_size=len(SPECIALS) + len(set(WORDS)),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_id=SPECIALS.index("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(image_size // patch_size) ** 2,
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    """The folder, with `tiny_llava` and `tiny_processor` saved in it."""
    tiny_llava(seed).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


def picture(seed: int, size: int = 40) -> Image.Image:
    """A picture of random pixels."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def answer(rng: np.random.Generator, low: int = 1, high: int = 7) -> str:
    """A few random words."""
    return " ".join(rng.choice(WORDS[:24], size=int(rng.integers(low, high))))


def vqa_rows(count: int, images: int, seed: int = 0) -> list[dict[str, Any]]:
    """VQA rows over `images` distinct pictures."""
    rng = np.random.default_rng(seed)
    return [
        {"image": picture(index % images), "question": f"what is {answer(rng)} ?", "answer": answer(rng)}
        for index in range(count)
    ]


def preference_rows(count: int, images: int, seed: int = 0) -> list[dict[str, Any]]:
    """Conversational preference rows over `images` distinct pictures; some answers share their start."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        start = answer(rng) + " " if index % 2 else ""
        rows.append(
            {
                "images": [picture(index % images)],
                "prompt": [{"role": "user", "content": f"describe {answer(rng)} ."}],
                "chosen": [{"role": "assistant", "content": f"{start}red {answer(rng)}"}],
                "rejected": [{"role": "assistant", "content": f"{start}blue {answer(rng)}"}],
            }
        )
    return rows
