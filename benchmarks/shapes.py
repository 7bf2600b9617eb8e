"""Models and rows of the benchmarks: LLaVA and Qwen2.5-VL shapes with random weights, random pictures and words."""

from __future__ import annotations

from collections.abc import Sequence
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
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

VOCABULARY = 32_000
IMAGE_TOKENS = 576
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
QWEN_SPECIALS = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_TOKEN_PIXELS = 28  # an image token stands for so many pixels across and down
PICTURE_SIZES = ((112, 112), (224, 224), (336, 224), (336, 336), (448, 448))
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ message['role'] | upper + ' : ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image> ' }}{% else %}"
    "{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT : ' }}{% endif %}"
)


def llava_80m(seed: int = 0) -> LlavaForConditionalGeneration:
    """CLIP-shaped ViT-S at 336 pixels (21M), Llama decoder of 8 layers of 512 (25M), 32,000 words in and out (33M)."""
    tower = _vit(384, heads=6, image_size=336, patch_size=14)
    return _llava(tower, _llama(512, layers=8, intermediate_size=1376, positions=4096), IMAGE_TOKENS, seed)


def llava_heavy_tower(seed: int = 0) -> LlavaForConditionalGeneration:
    """ViT-B/16 at 224 pixels (86M) before a decoder of 4 layers of 256 (3M): the tower is 96% of a forward pass. In
    models of the 256M class, where 64 tokens stand for 1,024 patches, it is about 90%."""
    tower = _vit(768, heads=12, image_size=224, patch_size=16)
    return _llava(tower, _llama(256, layers=4, intermediate_size=688, positions=1024), (224 // 16) ** 2, seed)


def llava_50m(seed: int = 0) -> LlavaForConditionalGeneration:
    """CLIP-shaped tower of 4 layers of 256 at 336 pixels (3M), Llama decoder of 4 layers of 512 (13M), 32,000 words in
    and out (33M): light to compute, with activations of hundreds of MB."""
    tower = _vit(256, heads=4, image_size=336, patch_size=14, layers=4)
    return _llava(tower, _llama(512, layers=4, intermediate_size=1376, positions=4096), IMAGE_TOKENS, seed)


def _vit(width: int, heads: int, image_size: int, patch_size: int, layers: int = 12) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=image_size,
        patch_size=patch_size,
    )


def _llama(width: int, layers: int, intermediate_size: int, positions: int) -> LlamaConfig:
    """Heads of 64 dimensions."""
    heads = width // 64
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=intermediate_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _llava(
    tower: CLIPVisionConfig, decoder: LlamaConfig, image_tokens: int, seed: int
) -> LlavaForConditionalGeneration:
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_id=SPECIALS.index("<image>"),
        image_seq_length=image_tokens,
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def qwen_60m(seed: int = 0) -> Qwen2_5_VLForConditionalGeneration:
    """Qwen2.5-VL with a tower of 4 layers of 256 (3M), a decoder of 8 layers of 512 (22M), 32,000 words in and out
    (33M). Per image token the tower costs half of what the decoder does, in the 7B model a third."""
    torch.manual_seed(seed)
    tower = {
        "depth": 4,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_heads": 4,
        "out_hidden_size": 512,
        "fullatt_block_indexes": [3],
    }
    decoder = {
        "vocab_size": VOCABULARY,
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    image, video, start, end = range(len(SPECIALS), len(SPECIALS) + len(QWEN_SPECIALS))
    config = Qwen2_5_VLConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen_processor() -> Qwen2_5_VLProcessor:
    """Qwen2.5-VL's processing, up to 256 tokens an image, over a vocabulary of numbered words."""
    area = QWEN_TOKEN_PIXELS**2
    images = Qwen2VLImageProcessor(size={"shortest_edge": 4 * area, "longest_edge": 256 * area})
    template = TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    return Qwen2_5_VLProcessor(images, _words(QWEN_SPECIALS), Qwen2VLVideoProcessor(), chat_template=template)


def processor(image_size: int = 336, patch_size: int = 14) -> LlavaProcessor:
    """LLaVA 1.5's processing over a vocabulary of numbered words."""
    crop = {"height": image_size, "width": image_size}
    images = CLIPImageProcessor(size={"shortest_edge": image_size}, crop_size=crop)
    return LlavaProcessor(
        images,
        _words(),
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def _words(more_specials: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of numbered words."""
    specials = [*SPECIALS, *more_specials]
    vocabulary = {word: index for index, word in enumerate(specials)}
    vocabulary |= {f"w{index}": index for index in range(len(specials), VOCABULARY)}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", *more_specials],
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


def ragged_caption_rows(
    count: int, shortest: int = 5, longest: int = 200, sizes: Sequence[tuple[int, int]] = PICTURE_SIZES, seed: int = 0
) -> list[dict[str, Any]]:
    """Captions of `shortest` to `longest` words, each for a picture of its own, in one of several sizes."""
    random = np.random.default_rng(seed)
    return [
        {
            "images": [picture(random, *sizes[int(random.integers(len(sizes)))])],
            "prompt": [{"role": "user", "content": words(random, 6)}],
            "completion": [
                {"role": "assistant", "content": words(random, int(random.integers(shortest, longest + 1)))}
            ],
        }
        for _ in range(count)
    ]


def picture(random: np.random.Generator, width: int = 336, height: int = 336) -> Image.Image:
    """A picture of random pixels."""
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def words(random: np.random.Generator, count: int) -> str:
    """Numbered words of the vocabulary."""
    first = len(SPECIALS) + len(QWEN_SPECIALS)
    return " ".join(f"w{index}" for index in random.integers(first, VOCABULARY, count))
