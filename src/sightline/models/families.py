"""Facts about each model family: image inputs, features, positions, masks, routes. Data, no code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.types import ADDED, FRONT, IMAGE, IMAGES, LLAMA_LAYERS, PROMPT, REPLACED, FamilyFacts

PIXELS = ("pixel_values",)
PHI_LAYERS = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")
# Patches of all images in one list, with each image's grid; positions in time, height and width.
_GRID = FamilyFacts(
    name="",
    image_inputs=("pixel_values", "image_grid_thw"),
    placeholder="<|image_pad|>",
    grid_input="image_grid_thw",
    type_input="mm_token_type_ids",
)
# TRL 1.16 reads `base_model(...).last_hidden_state` on plain rows; these models are their own base and give logits.
_NO_PLAIN = "TRL cannot train it on plain rows"
_FAMILIES = (
    FamilyFacts(
        name="blip-2",
        image_inputs=PIXELS,
        features_enter=REPLACED,
        decoder="language_model.model",
        linear_layers=("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        routes=("mask",),
        note=f"OPT decoders only; one image a prompt; {_NO_PLAIN}",
    ),
    FamilyFacts(
        name="cogvlm",
        image_inputs=PIXELS,
        placeholder="<unk>",
        features_listed=False,
        type_input="token_type_ids",
        typed=True,
        decoder="model.layers",
        linear_layers=(
            *("vision_expert_query_key_value", "vision_expert_dense"),
            *("language_expert_query_key_value", "language_expert_dense"),
            *("gate_proj", "up_proj", "down_proj"),
        ),
        note="one image a prompt",
    ),
    FamilyFacts(name="deepseek_vl", image_inputs=PIXELS, placeholder="<image_placeholder>", features_listed=False),
    FamilyFacts(
        name="deepseek_vl_hybrid",
        image_inputs=("pixel_values", "high_res_pixel_values"),
        placeholder="<image_placeholder>",
        features_listed=False,
    ),
    FamilyFacts(name="fast_vlm", image_inputs=PIXELS, features_listed=False),
    FamilyFacts(
        name="fuyu",
        image_inputs=PIXELS,
        placeholder="|SPEAKER|",
        features_enter=REPLACED,
        linear_layers=("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        note="one image a prompt",
    ),
    FamilyFacts(
        name="gemma3",
        image_inputs=PIXELS,
        placeholder="<image_soft_token>",
        features_listed=False,
        type_input="token_type_ids",
        both_ways=IMAGE,
    ),
    replace(
        _GRID,
        name="glm4v",
        placeholder="<|image|>",
        linear_layers=("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
    FamilyFacts(
        name="idefics3",
        image_inputs=("pixel_values", "pixel_attention_mask"),
        features_listed=False,
        decoder="model.text_model",
    ),
    FamilyFacts(name="internvl", image_inputs=PIXELS, placeholder="<IMG_CONTEXT>", features_listed=False),
    FamilyFacts(
        name="kosmos-2",
        image_inputs=PIXELS,
        placeholder="64 words from <unk> on",
        features_enter=REPLACED,
        first_position=2,
        type_input="image_embeds_position_mask",
        decoder="text_model.model",
        linear_layers=("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        routes=("mask",),
        note=f"one image a prompt; {_NO_PLAIN}",
    ),
    FamilyFacts(
        name="lfm2_vl",
        image_inputs=("pixel_values", "spatial_shapes", "pixel_attention_mask"),
        shape_input="spatial_shapes",
        linear_layers=("q_proj", "k_proj", "v_proj", "in_proj", "out_proj", "w1", "w2", "w3"),
        routes=("fork", "plain"),
    ),
    FamilyFacts(name="llava", image_inputs=("pixel_values", "image_sizes")),  # sizes with Pixtral's tower
    FamilyFacts(name="llava_next", image_inputs=("pixel_values", "image_sizes")),
    FamilyFacts(
        name="llava_onevision",
        image_inputs=("pixel_values", "image_sizes", "batch_num_images"),
        row_input="batch_num_images",
    ),
    FamilyFacts(
        name="molmo2",
        image_inputs=("pixel_values", "image_token_pooling", "image_grids"),
        placeholder="<im_patch>",
        features_enter=ADDED,
        type_input="mm_token_type_ids",
        both_ways=IMAGES,
        crop_input="image_num_crops",
        index_input="image_token_pooling",
    ),
    FamilyFacts(
        name="moondream1",
        image_inputs=("pixel_values", "image_tiles"),
        placeholder="<|image|>",
        linear_layers=PHI_LAYERS,
        note="moondream2 of 2024, generations A and B; one image a prompt",
    ),
    FamilyFacts(
        name="moondream2",
        image_inputs=("pixel_values", "image_tiles"),
        placeholder="<|image|>",
        both_ways=FRONT,
        linear_layers=PHI_LAYERS,
        note="moondream2 of 2025, generations C and D; one image a prompt",
    ),
    FamilyFacts(
        name="paligemma",
        image_inputs=PIXELS,
        features_enter=REPLACED,
        first_position=1,
        type_input="token_type_ids",
        both_ways=PROMPT,
        note="PaliGemma 1 and 2; rows of prompt and answer, each with an image",
    ),
    FamilyFacts(
        name="qwen",
        image_inputs=PIXELS,
        placeholder="<imgpad>",
        decoder="transformer.h",
        linear_layers=("c_attn", "c_proj", "w1", "w2"),
        length_setting="seq_length",
        note="Qwen-VL and Qwen-VL-Chat of 2023",
    ),
    replace(_GRID, name="qwen2_5_vl"),
    replace(_GRID, name="qwen2_vl"),
    replace(
        _GRID,
        name="qwen3_5",
        linear_layers=(
            *LLAMA_LAYERS,
            *("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj"),
        ),
        routes=("fork", "plain"),
    ),
    replace(_GRID, name="qwen3_vl", deepstack=True),
    FamilyFacts(
        name="smolvlm",
        image_inputs=("pixel_values", "pixel_attention_mask"),
        features_listed=False,
        decoder="model.text_model",
    ),
    FamilyFacts(name="yi_vl", image_inputs=PIXELS, placeholder="<image_placeholder>", end_word="###"),
)
# Measured with transformers 5.23; keyed by `config.model_type`.
FAMILIES: dict[str, FamilyFacts] = {facts.name: facts for facts in _FAMILIES}


def family_of(model: Any) -> FamilyFacts | None:
    """The facts of a model's family, or None for a family that is not in the table."""
    return FAMILIES.get(model.config.model_type)
