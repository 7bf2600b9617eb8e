"""The class built from the published settings has exactly the published tensors, to the byte of each shard."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from sightline.models.ports.cogvlm.config import CogVLMConfig
from sightline.models.ports.cogvlm.model import CogVLMForCausalLM

SHARD = 5_000_000_000  # bytes, transformers' limit when the checkpoints were saved
# Names by the number of layers that have them, and shapes.
DECODER_LAYER = {
    "input_layernorm.weight": (4096,),
    "post_attention_layernorm.weight": (4096,),
    "self_attn.vision_expert_query_key_value.weight": (12288, 4096),
    "self_attn.vision_expert_dense.weight": (4096, 4096),
    "self_attn.language_expert_query_key_value.weight": (12288, 4096),
    "self_attn.language_expert_dense.weight": (4096, 4096),
    "self_attn.rotary_emb.inv_freq": (64,),
    **{
        f"mlp.{expert}_mlp.{name}.weight": shape
        for expert in ("language", "vision")
        for name, shape in {"gate_proj": (11008, 4096), "up_proj": (11008, 4096), "down_proj": (4096, 11008)}.items()
    },
}
TOWER_LAYER = {
    "input_layernorm.weight": (1792,),
    "input_layernorm.bias": (1792,),
    "post_attention_layernorm.weight": (1792,),
    "post_attention_layernorm.bias": (1792,),
    "attention.query_key_value.weight": (5376, 1792),
    "attention.query_key_value.bias": (5376,),
    "attention.dense.weight": (1792, 1792),
    "attention.dense.bias": (1792,),
    "mlp.fc1.weight": (15360, 1792),
    "mlp.fc1.bias": (15360,),
    "mlp.fc2.weight": (1792, 15360),
    "mlp.fc2.bias": (1792,),
}  # fmt: skip
OTHERS = {
    "model.embed_tokens.weight": (32000, 4096),
    "model.norm.weight": (4096,),
    "lm_head.weight": (32000, 4096),
    "model.vision.boi": (1, 1, 4096),
    "model.vision.eoi": (1, 1, 4096),
    "model.vision.patch_embedding.cls_embedding": (1, 1792),
    "model.vision.patch_embedding.proj.weight": (1792, 3, 14, 14),
    "model.vision.patch_embedding.proj.bias": (1792,),
    "model.vision.patch_embedding.position_embedding.weight": (1226, 1792),
    "model.vision.linear_proj.linear_proj.weight": (4096, 1792),
    "model.vision.linear_proj.norm1.weight": (4096,),
    "model.vision.linear_proj.norm1.bias": (4096,),
    "model.vision.linear_proj.dense_h_to_4h.weight": (11008, 4096),
    "model.vision.linear_proj.gate_proj.weight": (11008, 4096),
    "model.vision.linear_proj.dense_4h_to_h.weight": (4096, 11008),
}


@pytest.fixture(scope="module")
def tensors():
    with torch.device("meta"):
        return CogVLMForCausalLM(CogVLMConfig()).to(torch.bfloat16).state_dict()


def published() -> dict[str, tuple[int, ...]]:
    layers = {f"model.layers.{i}.{name}": shape for i in range(32) for name, shape in DECODER_LAYER.items()}
    tower = {
        f"model.vision.transformer.layers.{i}.{name}": shape for i in range(63) for name, shape in TOWER_LAYER.items()
    }
    return {**layers, **tower, **OTHERS}


def cut(tensors) -> list[list[str]]:
    """Names in the order of the class, in shards as transformers cuts them."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, tensor in tensors.items():
        if size + tensor.nbytes > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += tensor.nbytes
    return shards


def file_size(tensors, names: list[str]) -> int:
    """Bytes of a file of safetensors: the length of its head, the head to a multiple of eight, the tensors."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(names):
        start, end = end, end + tensors[name].nbytes
        head[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [start, end]}
    length = len(json.dumps(head, separators=(",", ":")))
    return 8 + length + -length % 8 + end


def test_tensors_are_the_published_ones(tensors):
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == published()
    assert len(tensors) == 1187 == 32 * 13 + 63 * 12 + 15
    assert sum(tensor.numel() for tensor in tensors.values()) == 17_639_687_424


def test_shards_have_the_published_sizes(tensors):
    shards = cut(tensors)
    assert len(shards) == 8
    sizes = [file_size(tensors, names) for names in shards]
    assert sizes[:3] == [4_938_885_184, 4_947_290_688, 4_947_307_592]
    assert round(sizes[-1] / 1e6) == 533


def test_the_index_has_the_published_size(tensors):
    files = {
        name: f"model-{1 + at:05d}-of-00008.safetensors" for at, names in enumerate(cut(tensors)) for name in names
    }
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())}, "weight_map": files}
    assert len(json.dumps(index, indent=2, sort_keys=True) + "\n") == 115_948


def test_images_take_as_many_tokens_as_published():
    assert CogVLMConfig().image_tokens == 1227
    assert CogVLMConfig(vision_config={"image_size": 224, "num_positions": 257}).image_tokens == 258


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vision_config": {"num_positions": 257}}, "expected num_positions 1226 for images of 490 pixels"),
        ({"vision_config": {"num_heads": 15}}, "hidden_size 1792 does not divide by 15 heads"),
        ({"num_attention_heads": 24}, "expected a multiple of twice the 24 heads, got 4096"),
        ({"template_version": "vqa"}, "expected base or chat, got 'vqa'"),
    ],
)
def test_settings_that_contradict_each_other_are_told(settings, told):
    with pytest.raises(Exception, match="validate_architecture") as raised:
        CogVLMConfig(**settings)
    assert told in str(raised.value.__cause__ or raised.value)
