"""Tiny models of each family's real classes with their real processors, saved and loaded back as a user would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForImageTextToText, AutoProcessor

from sightline.models.build import build_vlm, preset_spec
from sightline.models.patches import PATCHES, apply_patches
from tests.families import tiny_layouts, tiny_ports
from tests.families.tiny_words import ID, TEXT, TOWER, Parts, template, tokenizer
from tests.models.ports.qwen_vl.tiny import tiny_qwen_vl
from tests.tiny import tiny_llava, tiny_processor

MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
QWEN_IDS = {
    "image_token_id": ID["<|image_pad|>"],
    "video_token_id": ID["<|video_pad|>"],
    "vision_start_token_id": ID["<|vision_start|>"],
    "vision_end_token_id": ID["<|vision_end|>"],
    "tie_word_embeddings": False,
}


def llava() -> Parts:
    """One size, features of a patch each."""
    return tiny_llava(), tiny_processor()


def fast_vlm() -> Parts:
    """A convolutional tower whose map becomes features."""
    built = build_vlm(preset_spec("nano"), seed=0)
    return built.model, built.processor


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


def qwen() -> Parts:
    """A class of our own: decoder and tower side by side, a tokenizer and a template of its authors."""
    return tiny_qwen_vl()


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


def llava_onevision() -> Parts:
    """Tiles for an image alone in its row, one tile for images that share it."""
    pins = [[32, 32], [32, 64], [64, 32]]
    config = transformers.LlavaOnevisionConfig(
        vision_config=tiny_layouts.SIGLIP,
        text_config={"model_type": "qwen2", **TEXT},
        image_token_index=ID["<image>"],
        video_token_index=ID["<video>"],
        image_grid_pinpoints=pins,
    )
    size = {"height": 32, "width": 32}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pins),
        tokenizer(),
        transformers.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template(),
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def deepseek_vl() -> Parts:
    """One size for all images, padded to a square."""
    config = transformers.DeepseekVLConfig(
        vision_config=tiny_layouts.SIGLIP,
        text_config={"model_type": "llama", **TEXT},
        image_token_id=ID["<image>"],
    )
    images = transformers.DeepseekVLImageProcessor(size={"height": 32, "width": 32})
    processor = transformers.DeepseekVLProcessor(
        images, tokenizer(image_token="<image>"), chat_template=template(), num_image_tokens=16
    )
    return transformers.DeepseekVLForConditionalGeneration(config), processor


def deepseek_vl_hybrid() -> Parts:
    """As DeepSeek-VL, with a second tower at a higher resolution."""
    sam = {
        "model_type": "sam_vision_model", "hidden_size": 32, "output_channels": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 64, "patch_size": 8, "global_attn_indexes": [0], "window_size": 4,
        "mlp_dim": 64,
    }  # fmt: skip
    config = transformers.DeepseekVLHybridConfig(
        vision_config=tiny_layouts.SIGLIP,
        high_res_vision_config=sam,
        text_config={"model_type": "llama", **TEXT},
        image_token_id=ID["<image>"],
    )
    images = transformers.DeepseekVLHybridImageProcessor(
        size={"height": 32, "width": 32}, high_res_size={"height": 64, "width": 64}
    )
    processor = transformers.DeepseekVLHybridProcessor(
        images, tokenizer(image_token="<image>"), chat_template=template(), num_image_tokens=16
    )
    return transformers.DeepseekVLHybridForConditionalGeneration(config), processor


def glm4v() -> Parts:
    """As Qwen2-VL, with another tower and decoder."""
    tower = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 8, "image_size": 32,
        "out_hidden_size": 32,
    }  # fmt: skip
    config = transformers.Glm4vConfig(
        vision_config=tower,
        text_config={**TEXT, "rope_parameters": MROPE},
        image_token_id=ID["<|image|>"],
        video_token_id=ID["<|video|>"],
        image_start_token_id=ID["<|vision_start|>"],
        image_end_token_id=ID["<|vision_end|>"],
        video_start_token_id=ID["<im_start>"],
        video_end_token_id=ID["<im_end>"],
    )
    size = {"shortest_edge": 512, "longest_edge": 4608}
    images = transformers.Glm4vImageProcessor(patch_size=8, merge_size=2, size=size)
    videos = transformers.Glm4vVideoProcessor(patch_size=8, merge_size=2, size=size)
    words = template("<|vision_start|><|image|><|vision_end|>")
    processor = transformers.Glm4vProcessor(images, tokenizer(), videos, chat_template=words)
    return transformers.Glm4vForConditionalGeneration(config), processor


def aya_vision() -> Parts:
    """A family that is not in the table."""
    text = {**TEXT, "model_type": "cohere2", "sliding_window": 64, "layer_types": ["full_attention"] * 2}
    config = transformers.AyaVisionConfig(
        vision_config=tiny_layouts.SIGLIP, text_config=text, image_token_index=ID["<|IMG_PATCH|>"]
    )
    images = transformers.GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=2
    )
    processor = transformers.AyaVisionProcessor(
        images, tokenizer(), patch_size=8, img_size=32, downsample_factor=2, chat_template=template()
    )
    return transformers.AyaVisionForConditionalGeneration(config), processor


BUILDERS: dict[str, Callable[[], Parts]] = {
    "blip-2": tiny_layouts.blip_2,
    "cogvlm": tiny_layouts.cogvlm,
    "deepseek_vl": deepseek_vl,
    "deepseek_vl_hybrid": deepseek_vl_hybrid,
    "fast_vlm": fast_vlm,
    "fuyu": tiny_layouts.fuyu,
    "gemma3": gemma3,
    "glm4v": glm4v,
    "idefics3": idefics3,
    "internvl": internvl,
    "lfm2_vl": lfm2_vl,
    "kosmos-2": tiny_layouts.kosmos2,
    "llava": llava,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "molmo2": tiny_layouts.molmo2,
    "moondream1": tiny_ports.moondream_of_one_view,
    "moondream1_tiles": tiny_ports.moondream_of_tiles,
    "moondream2": tiny_ports.moondream_of_crops,
    "paligemma": tiny_layouts.paligemma,
    "paligemma2": tiny_layouts.paligemma2,
    "qwen": qwen,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "qwen3_5": qwen3_5,
    "qwen3_vl": qwen3_vl,
    "smolvlm": smolvlm,
    "yi_vl": tiny_layouts.yi_vl,
}
# Their processors take one image a prompt, so their rows are plain texts, with one image each; they have no template.
WITHOUT_TEMPLATE = ("blip-2", "cogvlm", "fuyu", "kosmos-2")
# Their processors take one image a prompt, too, but have a template.
ONE_IMAGE = ("moondream1", "moondream1_tiles", "moondream2")
# One of each way of sharing: plain causal, windows with image blocks, tiles, a front that looks both ways, positions in
# three axes, recurrent.
QUICK = ("llava", "gemma3", "idefics3", "moondream2", "qwen2_5_vl", "qwen3_5")


def built_family(name: str) -> Parts:
    """Model and processor of a family as they were built, transformers corrected as where we load such a model."""
    for model_type in PATCHES:
        apply_patches(model_type)
    torch.manual_seed(0)
    return {**BUILDERS, "aya_vision": aya_vision}[name]()


def saved_family(name: str, folder: Path) -> Parts:
    """Model and processor of a family, saved to `folder` and loaded back by transformers' auto classes."""
    model, processor = built_family(name)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)


def every_family() -> list[Any]:
    """The names as parameters of a test; all but `QUICK` are left to the slow tests."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(BUILDERS)]
