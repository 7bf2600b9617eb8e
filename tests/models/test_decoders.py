"""A built model says of a text what its decoder says alone: scales are kept, what cannot be kept is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sightline.errors import ConfigError
from sightline.models.build import BuildSpec, build_vlm, save_vlm
from sightline.models.presets import build_tokenizer

TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.2, "max_position_embeddings": 256,
}  # fmt: skip
TOWER = {
    "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
}  # fmt: skip
SCALED: dict[str, dict[str, Any]] = {
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0},
    "granitemoe": {"logits_scaling": 8.0, "num_local_experts": 2, "num_experts_per_tok": 1},
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 0.0625, "layer_types": ["full_attention"] * 2},
    "hyperclovax": {"logits_scaling": 0.25},
    "minicpm3": {
        "dim_model_base": 8, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
        "v_head_dim": 8, "head_dim": 8, "num_key_value_heads": 4,
    },
}  # fmt: skip
FALCON = {
    "lm_head_multiplier": 0.3, "embedding_multiplier": 3.0, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8,
    "mamba_d_state": 8,
}  # fmt: skip
IDS = torch.arange(10, 40)[None]


def saved_decoder(kind: str, folder: Path, **given: Any) -> Any:
    tokenizer = build_tokenizer(256)
    config = transformers.CONFIG_MAPPING[kind](**{**TEXT, **given, "vocab_size": len(tokenizer)})
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", sorted(SCALED))
def test_logits_of_a_text_are_the_decoders(kind: str, tmp_path: Path) -> None:
    alone = saved_decoder(kind, tmp_path / "decoder", **SCALED[kind])
    built = build_vlm(BuildSpec(tower=TOWER, decoder=str(tmp_path / "decoder")), seed=0)
    loaded = transformers.AutoModelForImageTextToText.from_pretrained(save_vlm(built, tmp_path / "built"))
    with torch.no_grad():
        expected = alone(input_ids=IDS).logits
        for model in (built.model, loaded.eval()):
            torch.testing.assert_close(model(input_ids=IDS).logits[..., : expected.shape[-1]], expected)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("gemma2", {"head_dim": 8}, "its logits are bounded by final_logit_softcapping 30.0"),
        ("falcon_h1", FALCON, "inside LLaVA's class it gives other logits of the same text than alone"),
        ("phi", {}, "the head of PhiForCausalLM has a bias"),
    ],
)
def test_what_would_be_lost_is_refused(kind: str, given: dict[str, Any], message: str, tmp_path: Path) -> None:
    saved_decoder(kind, tmp_path, **given)
    with pytest.raises(ConfigError, match=message):
        build_vlm(BuildSpec(tower=TOWER, decoder=str(tmp_path)), seed=0)


def test_a_fresh_decoder_keeps_its_scale_in_the_norm() -> None:
    decoder = {"model_type": "granite", **TEXT, "logits_scaling": 8.0}
    built = build_vlm(BuildSpec(tower=TOWER, decoder=decoder), seed=0)
    assert built.model.config.text_config.logits_scaling == 1.0
    assert built.model.model.language_model.norm.weight.unique().tolist() == [0.125]


def test_a_fresh_decoder_with_a_cap_is_refused_until_it_has_none() -> None:
    decoder = {"model_type": "gemma2", **TEXT, "head_dim": 8}
    with pytest.raises(ConfigError, match="Set final_logit_softcapping to null"):
        build_vlm(BuildSpec(tower=TOWER, decoder=decoder), seed=0)
    build_vlm(BuildSpec(tower=TOWER, decoder={**decoder, "final_logit_softcapping": None}), seed=0)


def test_a_tower_that_reads_by_chance_is_refused() -> None:
    tower = {**TOWER, "model_type": "vit_mae"}
    with pytest.raises(ConfigError, match="reads a picture in another way each time"):
        build_vlm(BuildSpec(tower=tower, decoder={"model_type": "llama", **TEXT}), seed=0)


def test_a_tower_without_a_class_token_gives_every_patch() -> None:
    built = build_vlm(BuildSpec(tower=TOWER, decoder={"model_type": "llama", **TEXT}), seed=0)
    assert built.model.config.vision_feature_select_strategy == "full"
    features = built.model.model.get_image_features(torch.rand(1, 3, 32, 32)).pooler_output
    assert features[0].shape[0] == 16
