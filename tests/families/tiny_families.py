"""Tiny models of each family's real classes with their real processors, saved and loaded back as a user would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast
from transformers.models.smolvlm import processing_smolvlm

from tests.tiny import SPECIALS, TEMPLATE, WORDS

# Image tokens of all families in one vocabulary; `<image>` has id 4.
IMAGE_WORDS = (
    "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<img>", "</img>", "<IMG_CONTEXT>",
    "<video>", "<boi>", "<eoi>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 4) for column in range(1, 4)),
)  # fmt: skip
VOCABULARY = [*SPECIALS, *IMAGE_WORDS, *dict.fromkeys(WORDS)]
ID = {word: index for index, word in enumerate(VOCABULARY)}
TEXT: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
QWEN_IDS = {
    "image_token_id": ID["<|image_pad|>"],
    "video_token_id": ID["<|video_pad|>"],
    "vision_start_token_id": ID["<|vision_start|>"],
    "vision_end_token_id": ID["<|vision_end|>"],
    "tie_word_embeddings": False,
}
Parts = tuple[Any, Any]  # model, processor


def tokenizer(**image_tokens: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that knows every family's image tokens; `image_tokens` become its attributes."""
    raw = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens([*SPECIALS, *IMAGE_WORDS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **({"extra_special_tokens": image_tokens} if image_tokens else {}),
    )


def template(image: str = "<image>") -> str:
    """The chat template of the tests, with the family's words for an image."""
    return TEMPLATE.replace("<image>", image)


def llava_next() -> Parts:
    """Tiles of several grids and newline features."""
    pins = [[32, 32], [32, 64], [64, 32]]
    config = transformers.LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model", **TOWER, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=ID["<image>"],
        vision_feature_layer=-1,
        image_grid_pinpoints=pins,
        image_seq_length=16,
    )
    size = {"shortest_edge": 32}
    images = transformers.LlavaNextImageProcessor(
        size=size, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=pins
    )
    processor = transformers.LlavaNextProcessor(
        images,
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return transformers.LlavaNextForConditionalGeneration(config), processor


def idefics3() -> Parts:
    """Tiles in a second axis, padded over a batch."""
    config = transformers.Idefics3Config(
        vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_id=ID["<image>"],
        scale_factor=2,
    )
    images = transformers.Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = transformers.Idefics3Processor(images, tokenizer(), image_seq_len=4, chat_template=template())
    return transformers.Idefics3ForConditionalGeneration(config), processor


def smolvlm() -> Parts:
    """As Idefics3, with a video processor."""
    config = transformers.SmolVLMConfig(
        vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_id=ID["<image>"],
        scale_factor=2,
    )
    images = transformers.SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    videos = transformers.SmolVLMVideoProcessor(
        size={"longest_edge": 64},
        max_image_size={"longest_edge": 32},
        video_sampling={"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 64}},
    )
    processor = transformers.SmolVLMProcessor(images, tokenizer(), videos, image_seq_len=4, chat_template=template())
    return transformers.SmolVLMForConditionalGeneration(config), processor


def qwen2_vl() -> Parts:
    """Patches of any grid, positions in time, height and width."""
    config = transformers.Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8},
        text_config={**TEXT, "rope_parameters": MROPE},
        **QWEN_IDS,
    )
    processor = transformers.Qwen2VLProcessor(*_qwen_parts(transformers.Qwen2VLVideoProcessor))
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> Parts:
    """As Qwen2-VL, with windows in the tower."""
    tower = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 8, "window_size": 32,
        "out_hidden_size": 32, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        vision_config=tower, text_config={**TEXT, "rope_parameters": MROPE}, **QWEN_IDS
    )
    processor = transformers.Qwen2_5_VLProcessor(*_qwen_parts(transformers.Qwen2VLVideoProcessor))
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_vl() -> Parts:
    """As Qwen2-VL, with features in deeper layers."""
    tower = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 8,
        "out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        vision_config=tower, text_config={**TEXT, "head_dim": 8, "rope_parameters": MROPE}, **QWEN_IDS
    )
    processor = transformers.Qwen3VLProcessor(*_qwen_parts(transformers.Qwen3VLVideoProcessor))
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def qwen3_5() -> Parts:
    """As Qwen3-VL, with linear attention in two of three layers."""
    tower = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 8,
        "out_hidden_size": 32, "num_position_embeddings": 64, "initializer_range": 0.2,
    }  # fmt: skip
    text = {
        **TEXT, "num_hidden_layers": 3, "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "head_dim": 16, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
    config = transformers.Qwen3_5Config(vision_config=tower, text_config={**text, "rope_parameters": rope}, **QWEN_IDS)
    model = transformers.Qwen3_5ForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        if name.endswith("A_log"):
            parameter.data.fill_(-3)  # a state that outlives many tokens: drawn at random it forgets within one
    return model, transformers.Qwen3VLProcessor(*_qwen_parts(transformers.Qwen3VLVideoProcessor))


def _qwen_parts(video_processor: Any) -> tuple[Any, Any, Any, str]:
    images = transformers.Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, size={"shortest_edge": 256, "longest_edge": 2304}
    )
    videos = video_processor(patch_size=8, merge_size=2)
    return images, tokenizer(), videos, template("<|vision_start|><|image_pad|><|vision_end|>")


def internvl() -> Parts:
    """Tiles of all images in one list."""
    tower = {**TOWER, "image_size": [32, 32], "patch_size": [8, 8], "initializer_range": 0.2}
    config = transformers.InternVLConfig(
        vision_config=tower,
        text_config={"model_type": "qwen2", **TEXT},
        image_token_id=ID["<IMG_CONTEXT>"],
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    images = transformers.GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=3
    )
    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    videos = transformers.InternVLVideoProcessor(size={"height": 32, "width": 32})
    processor = transformers.InternVLProcessor(
        images, words, videos, image_seq_length=4, chat_template=template("<IMG_CONTEXT>")
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def gemma3() -> Parts:
    """Windows in some layers, image blocks that look both ways."""
    text = {
        **TEXT, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    config = transformers.Gemma3Config(
        vision_config={"model_type": "siglip_vision_model", **TOWER, "image_size": 32, "patch_size": 8},
        text_config=text,
        mm_tokens_per_image=4,
        boi_token_index=ID["<boi>"],
        eoi_token_index=ID["<eoi>"],
        image_token_index=ID["<image>"],
        initializer_range=0.2,
    )
    words = tokenizer(boi_token="<boi>", eoi_token="<eoi>", image_token="<image>")
    images = transformers.Gemma3ImageProcessor(size={"height": 32, "width": 32})
    processor = transformers.Gemma3Processor(images, words, chat_template=template("<boi>"), image_seq_length=4)
    return transformers.Gemma3ForConditionalGeneration(config), processor


def lfm2_vl() -> Parts:
    """Convolutions in two of three layers; tiles and a thumbnail of other sizes."""
    config = transformers.Lfm2VlConfig(
        vision_config={
            "model_type": "siglip2_vision_model", **TOWER, "patch_size": 8, "num_patches": 16, "vision_use_head": False
        },
        text_config={
            "model_type": "lfm2", **TEXT, "num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"],
            "block_auto_adjust_ff_dim": False,
        },
        image_token_id=ID["<image>"],
        projector_hidden_size=64,
    )  # fmt: skip
    images = transformers.Lfm2VlImageProcessor(
        encoder_patch_size=8,
        tile_size=32,
        min_image_tokens=1,
        max_image_tokens=4,
        max_tiles=4,
        max_pixels_tolerance=1.0,
    )
    words = tokenizer(
        image_token="<image>",
        image_start_token="<img>",
        image_end_token="</img>",
        image_thumbnail_token="<global-img>",
    )
    return transformers.Lfm2VlForConditionalGeneration(config), transformers.Lfm2VlProcessor(images, words, template())


BUILDERS: dict[str, Callable[[], Parts]] = {
    "gemma3": gemma3,
    "idefics3": idefics3,
    "internvl": internvl,
    "lfm2_vl": lfm2_vl,
    "llava_next": llava_next,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "qwen3_5": qwen3_5,
    "qwen3_vl": qwen3_vl,
    "smolvlm": smolvlm,
}
# SmolVLM's processor asks for num2words, which only its videos use.
processing_smolvlm.num2words = processing_smolvlm.num2words or str


def saved_family(name: str, folder: Path) -> Parts:
    """Model and processor of a family, saved to `folder` and loaded back by transformers' auto classes."""
    torch.manual_seed(0)
    model, processor = BUILDERS[name]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
