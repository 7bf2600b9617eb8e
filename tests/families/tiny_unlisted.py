"""Tiny models of families that are not in the table, and a LLaVA whose tower takes pictures of any size."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from tests.families.tiny_families import MROPE, QWEN_IDS, _qwen_parts
from tests.families.tiny_words import TEXT, TOWER, Parts, template, tokenizer

PIXTRAL = {**TOWER, "image_size": 64, "patch_size": 8}


def _with_words(*words: str) -> Any:
    made = tokenizer()
    made.add_special_tokens({"additional_special_tokens": list(words)}, replace_extra_special_tokens=False)
    return made


def _text(words: Any, **given: Any) -> dict[str, Any]:
    return {**TEXT, "vocab_size": len(words), **given}


def _pixtral_processor(words: Any, merged: int) -> Any:
    images = transformers.PixtralImageProcessor(size={"longest_edge": 64}, patch_size={"height": 8, "width": 8})
    return transformers.PixtralProcessor(
        images, words, patch_size=8, spatial_merge_size=merged, chat_template=template("[IMG]")
    )


def pixtral() -> Parts:
    """LLaVA's class with Pixtral's tower and processor, which gives the size of each picture."""
    words = _with_words("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = transformers.LlavaConfig(
        vision_config=transformers.PixtralVisionConfig(**PIXTRAL),
        text_config={"model_type": "mistral", **_text(words, head_dim=8, sliding_window=None)},
        image_token_index=words.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    return transformers.LlavaForConditionalGeneration(config), _pixtral_processor(words, 1)


def mistral3() -> Parts:
    """Pixtral's tower, its patches merged."""
    words = _with_words("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = transformers.Mistral3Config(
        vision_config={"model_type": "pixtral", **PIXTRAL, "head_dim": 16},
        text_config={"model_type": "mistral", **_text(words, head_dim=8, sliding_window=None)},
        image_token_index=words.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )
    return transformers.Mistral3ForConditionalGeneration(config), _pixtral_processor(words, 2)


def idefics2() -> Parts:
    """Two pictures side by side share the token between them."""
    images = transformers.Idefics2ImageProcessor(
        size={"shortest_edge": 32, "longest_edge": 64}, do_image_splitting=False
    )
    words = _with_words("<image>")
    config = transformers.Idefics2Config(
        vision_config=PIXTRAL,
        perceiver_config={
            "hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2,
            "resampler_head_dim": 16, "num_key_value_heads": 1,
        },
        text_config={"model_type": "mistral", **_text(words, sliding_window=None)},
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    processor = transformers.Idefics2Processor(images, words, image_seq_len=4, chat_template=template())
    return transformers.Idefics2ForConditionalGeneration(config), processor


def mllama() -> Parts:
    """Pictures enter by cross attention, whose mask the processor writes."""
    words = _with_words("<|python_tag|>")
    images = transformers.MllamaImageProcessor(size={"height": 32, "width": 32}, max_image_tiles=4)
    tower = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2, "image_size": 32,
        "intermediate_size": 64, "vision_output_dim": 64, "patch_size": 8, "intermediate_layers_indices": [0],
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e4}
    text = _text(words, num_hidden_layers=3, cross_attention_layers=[1], rope_parameters=rope)
    config = transformers.MllamaConfig(
        vision_config=tower, text_config=text, image_token_index=words.convert_tokens_to_ids("<|image|>")
    )
    model = transformers.MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate" in name:
                parameter.fill_(0.7)  # closed gates let no picture in
    return model, transformers.MllamaProcessor(images, words, chat_template=template("<|image|>"))


def qwen3_vl_moe() -> Parts:
    """As Qwen3-VL, with experts."""
    tower = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "patch_size": 8, "intermediate_size": 64,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    text = {
        **TEXT, "head_dim": 8, "rope_parameters": {**MROPE, "mrope_interleaved": True}, "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1, "mlp_only_layers": [],
    }  # fmt: skip
    config = transformers.Qwen3VLMoeConfig(vision_config=tower, text_config=text, **QWEN_IDS)
    processor = transformers.Qwen3VLProcessor(*_qwen_parts(transformers.Qwen3VLVideoProcessor))
    return transformers.Qwen3VLMoeForConditionalGeneration(config), processor


UNLISTED = {"idefics2": idefics2, "mllama": mllama, "mistral3": mistral3, "qwen3_vl_moe": qwen3_vl_moe}
