"""DeepSeek-VL in the authors' layout gives what the same weights give in transformers' own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoProcessor,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
)

from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.pretrained import load_pretrained
from tests.models.published.checkpoints import byte_tokenizer, write_config, write_weights
from tests.models.published.test_llava import MESSAGES, TEXT
from tests.tiny import picture

SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 1, "image_size": 32, "patch_size": 8, "vision_use_head": False, "hidden_act": "gelu",
}  # fmt: skip
SAM = {
    "model_type": "sam_vision_model", "hidden_size": 32, "output_channels": 8, "num_hidden_layers": 3,
    "num_attention_heads": 2, "image_size": 64, "patch_size": 8, "global_attn_indexes": [1], "window_size": 4,
    "mlp_dim": 64,
}  # fmt: skip
EOS = "<｜end▁of▁sentence｜>"
# From transformers' names to the authors', read from the conversion that transformers 4.x had.
NAMES = [
    (r"^model\.language_model\.", "language_model.model."),
    (r"^lm_head\.", "language_model.lm_head."),
    (r"^model\.aligner\.vision_proj", "aligner.low_up_proj"),
    (r"^model\.aligner\.high_res_vision_proj", "aligner.high_up_proj"),
    (r"^model\.aligner\.proj", "aligner.layers.1"),
    (r"^model\.aligner\.linear1", "aligner.layers.0"),
    (r"^model\.aligner\.linear2", "aligner.layers.2"),
    (r"^model\.high_res_vision_alpha", "HIGH.hd_alpha_downsamples"),
    (r"^model\.high_res_vision_proj\.conv1", "HIGH.downsamples.0"),
    (r"^model\.high_res_vision_proj\.conv2", "HIGH.downsamples.1"),
    (r"^model\.high_res_vision_neck\.", "HIGH.neck_hd."),
    (r"^model\.high_res_vision_model\.vision_encoder\.", "HIGH."),
    (r"^model\.vision_model\.embeddings\.patch_embedding", "LOW.patch_embed.proj"),
    (r"^model\.vision_model\.embeddings\.position_embedding\.weight", "LOW.pos_embed"),
    (r"^model\.vision_model\.post_layernorm", "LOW.norm"),
    (r"^model\.vision_model\.encoder\.layers\.", "LOW.blocks."),
    (r"HIGH\.layers\.", "HIGH.blocks."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"(neck|neck_hd)\.conv1", r"\1.0"),
    (r"(neck|neck_hd)\.layer_norm1", r"\1.1"),
    (r"(neck|neck_hd)\.conv2", r"\1.2"),
    (r"(neck|neck_hd)\.layer_norm2", r"\1.3"),
    (r"layer_norm(\d)", r"norm\1"),
    (r"self_attn\.out_proj", "attn.proj"),
]


def published(tensors: dict[str, torch.Tensor], two: bool) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if "vision_model" in name and ("self_attn.k_proj" in name or "self_attn.v_proj" in name):
            continue
        theirs = name
        for pattern, replacement in NAMES:
            theirs = re.sub(pattern, replacement, theirs)
        if theirs == "LOW.pos_embed":
            tensor = tensor[None]
        if "vision_model.encoder" in name and "q_proj" in name:
            theirs = theirs.replace("self_attn.q_proj", "attn.qkv")
            tensor = torch.cat([tensors[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")])
        low = "vision_model.vision_tower_low.vision_tower" if two else "vision_model.vision_tower"
        theirs = theirs.replace("HIGH.", "vision_model.vision_tower_high.vision_tower.").replace("LOW.", f"{low}.")
        found[theirs] = tensor.contiguous()
    found[f"{low}.attn_pool.latent"] = torch.zeros(1, 1, 64)  # stored, and read by nothing
    return found


def checkpoint(folder: Path, two: bool = True, pickled: bool = False) -> Any:
    """The model as transformers builds it; its weights lie in the folder under the authors' names."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer("<image_placeholder>", eos=EOS)
    shared: dict[str, Any] = {
        "vision_config": SIGLIP,
        "text_config": {"model_type": "llama", **TEXT, "vocab_size": len(tokenizer)},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image_placeholder>"),
        "tie_word_embeddings": False,
    }
    model = (
        DeepseekVLHybridForConditionalGeneration(DeepseekVLHybridConfig(**shared, high_res_vision_config=SAM))
        if two
        else DeepseekVLForConditionalGeneration(DeepseekVLConfig(**shared))
    ).eval()
    torch.nn.init.normal_(model.model.high_res_vision_alpha) if two else None
    vision = {
        "cls": "HybridVisionTower" if two else "CLIPVisionTower",
        "params": {"low_res_cfg": {"pixel_mean": [0.5] * 3, "pixel_std": [0.5] * 3}, "high_res_cfg": {}} if two else {},
    }
    write_config(
        folder,
        architectures=["MultiModalityCausalLM"],
        model_type="multi_modality",
        language_config={**shared["text_config"], "torch_dtype": "float32"},
        vision_config=vision,
        torch_dtype="float32",
    )
    write_weights(folder, published(model.state_dict(), two), pickled, shards=2)
    tokenizer.save_pretrained(folder)
    return model


@pytest.mark.parametrize(("two", "pickled"), [(True, False), (False, False), (True, True)])
def test_weights_are_those_of_transformers_class(tmp_path, two, pickled):
    model = checkpoint(tmp_path / "deepseek", two, pickled)
    found = load_vlm(tmp_path / "deepseek", device="cpu").model
    torch.testing.assert_close(dict(found.state_dict()), dict(model.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("two", [True, False])
def test_logits_of_a_picture_and_a_text_are_those_of_transformers_class(tmp_path, two):
    model = checkpoint(tmp_path / "deepseek", two)
    found = load_vlm(tmp_path / "deepseek", device="cpu")
    text = found.processor.apply_chat_template(MESSAGES, add_generation_prompt=True)
    inputs = found.processor(text=text, images=[picture(0, 50)], return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 16
    torch.testing.assert_close(found.model(**inputs).logits, model(**inputs).logits, rtol=0, atol=1e-5)


def test_the_prompt_is_that_of_the_authors(tmp_path):
    checkpoint(tmp_path / "deepseek")
    processor = load_pretrained(AutoProcessor, tmp_path / "deepseek")
    assert processor.apply_chat_template(MESSAGES, add_generation_prompt=True) == (
        "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
        "provides, and assist the user with a variety of tasks using natural language.\n\n"
        f"User: <image_placeholder>What is it?\n\nAssistant: A dog.{EOS}User: Why?\n\nAssistant:"
    )


def test_a_base_model_is_asked_in_plain_words(tmp_path):
    checkpoint(tmp_path / "deepseek-vl-7b-base")
    processor = load_pretrained(AutoProcessor, tmp_path / "deepseek-vl-7b-base")
    said = processor.apply_chat_template(MESSAGES[:1], add_generation_prompt=True)
    assert said == "<image_placeholder>What is it?"


def test_a_folder_without_its_towers_is_told(tmp_path):
    checkpoint(tmp_path / "deepseek", two=False)
    for path in (tmp_path / "deepseek").glob("model*"):
        path.unlink()
    write_weights(tmp_path / "deepseek", {"language_model.lm_head.weight": torch.zeros(2, 2)})
    with pytest.raises(InputError, match="expected weights of DeepSeek-VL's towers"):
        load_vlm(tmp_path / "deepseek")
