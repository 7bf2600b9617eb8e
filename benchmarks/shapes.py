"""Models and rows of the benchmarks: LLaVA shapes with random weights, random pictures and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()

from transformers import (  # noqa: E402
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

VOCABULARY = 32_000
IMAGE_TOKENS = 576
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ message['role'] | upper + ' : ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image> ' }}{% else %}"
    "{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT : ' }}{% endif %}"
)


def llava_80m(seed: int = 0) -> LlavaForConditionalGeneration:
    """CLIP-shaped ViT-S at 336 pixels (21M), Llama decoder of 8 layers of 512 (25M), 32,000 words in and out (33M)."""
    torch.manual_seed(seed)
    tower = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=336,
        patch_size=14,
    )
    decoder = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_id=SPECIALS.index("<image>"),
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def llava_heavy_tower(seed: int = 0) -> LlavaForConditionalGeneration:
    """ViT-B/16 at 224 pixels (86M) before a decoder of 4 layers of 256 (3M): the tower is 96% of a forward pass. In
    models of the 256M class, where 64 tokens stand for 1,024 patches, it is about 90%."""
    torch.manual_seed(seed)
    tower = CLIPVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=224,
        patch_size=16,
    )
    decoder = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_id=SPECIALS.index("<image>"),
        image_seq_length=(224 // 16) ** 2,
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def processor(image_size: int = 336, patch_size: int = 14) -> LlavaProcessor:
    """LLaVA 1.5's processing over a vocabulary of numbered words."""
    vocabulary = {word: index for index, word in enumerate(SPECIALS)}
    vocabulary |= {f"w{index}": index for index in range(len(SPECIALS), VOCABULARY)}
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
    crop = {"height": image_size, "width": image_size}
    images = CLIPImageProcessor(size={"shortest_edge": image_size}, crop_size=crop)
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def preference_rows(count: int, shortest: int = 40, longest: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs of answers of `shortest` to `longest` tokens about one picture each."""
    random = np.random.default_rng(seed)
    return [
        {
            "images": [picture(random)],
            "prompt": [{"role": "user", "content": words(random, 12)}],
            "chosen": [{"role": "assistant", "content": words(random, int(random.integers(shortest, longest + 1)))}],
            "rejected": [{"role": "assistant", "content": words(random, int(random.integers(shortest, longest + 1)))}],
        }
        for _ in range(count)
    ]


def question_rows(images: int, questions: int, seed: int = 0) -> list[dict[str, Any]]:
    """`questions` short questions with short answers about each of `images` pictures."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(images):
        image = picture(random)
        for _ in range(questions):
            rows.append(
                {
                    "images": [image],
                    "prompt": [{"role": "user", "content": words(random, int(random.integers(6, 12)))}],
                    "completion": [{"role": "assistant", "content": words(random, int(random.integers(1, 4)))}],
                }
            )
    return rows


def caption_rows(images: int, words_each: int, seed: int = 0) -> list[dict[str, Any]]:
    """One caption of `words_each` words for each of `images` pictures."""
    random = np.random.default_rng(seed)
    return [
        {
            "images": [picture(random)],
            "prompt": [{"role": "user", "content": words(random, 1)}],
            "completion": [{"role": "assistant", "content": words(random, words_each)}],
        }
        for _ in range(images)
    ]


def picture(random: np.random.Generator) -> Image.Image:
    """A picture of random pixels, 336 x 336."""
    return Image.fromarray(random.integers(0, 256, (336, 336, 3), dtype=np.uint8))


def words(random: np.random.Generator, count: int) -> str:
    """Numbered words of the vocabulary."""
    return " ".join(f"w{index}" for index in random.integers(len(SPECIALS), VOCABULARY, count))
