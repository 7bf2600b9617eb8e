"""Adapters that name no layers stand on each family's decoder; those that do are kept; encoder-decoders are refused."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from datasets import Dataset
from peft import LoraConfig

import sightline
from sightline.errors import InputError
from sightline.models.families import FAMILIES
from sightline.training.decoder import decoder_layers, for_family
from tests.families.case import preference_rows
from tests.families.tiny_families import BUILDERS, built_family
from tests.tiny import tiny_llava, tiny_processor


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_pattern_matches_the_linear_layers_of_the_decoder_alone(name: str) -> None:
    model, _ = built_family(name)
    facts = FAMILIES[model.config.model_type]
    matched = {layer for layer, _ in model.named_modules() if re.fullmatch(decoder_layers(facts), layer)}
    decoder = {
        f"{facts.decoder}.{layer}"
        for layer, module in model.get_submodule(facts.decoder).named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert matched == decoder != set()


def adapted(folder: Path, adapters: LoraConfig) -> set[str]:
    """Names of the layers that a trainer put adapters on."""
    rows = [{"images": r["images"], "prompt": r["prompt"], "completion": r["chosen"]} for r in preference_rows()]
    trainer = sightline.SFTTrainer(
        model=tiny_llava(),
        args=sightline.SFTConfig(str(folder), report_to=[], max_length=None, bf16=False),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
        peft_config=adapters,
    )
    names: Any = trainer.model.named_parameters()
    return {name.partition(".lora_A.")[0].removeprefix("base_model.model.") for name, _ in names if ".lora_A." in name}


def test_adapters_without_layers_get_the_decoders(tmp_path: Path) -> None:
    names = adapted(tmp_path, LoraConfig(r=2))
    assert len(names) == 14 and all(name.startswith("model.language_model.") for name in names)


def test_layers_that_the_user_names_are_kept_with_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sightline"):
        names = adapted(tmp_path, LoraConfig(r=2, target_modules=["q_proj"]))
    assert any(name.startswith("model.vision_tower.") for name in names)
    assert "2 of 4 adapted layers stand outside the decoder" in caplog.text


def test_an_encoder_decoder_is_refused() -> None:
    text = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 50}
    config = transformers.Blip2Config(
        text_config=text,
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        qformer_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    with pytest.raises(InputError, match="blip-2 with t5 has an encoder"):
        for_family(transformers.Blip2ForConditionalGeneration(config), {})
