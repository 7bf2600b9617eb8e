"""Weights rounded to 4 and 8 bits: the model computes with exactly what bitsandbytes stored, on the CPU, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.errors import ConfigError
from sightline.models.load import load_vlm
from sightline.settings.loading import LoadingOptions
from sightline.types import Question
from tests.tiny import picture, tiny_folder

bitsandbytes = pytest.importorskip("bitsandbytes", reason="the extra `quantized` is not installed")
FOUR, EIGHT = LoadingOptions(load_in_4bit=True), LoadingOptions(load_in_8bit=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model"))


def unrounded(model: Any) -> dict[str, torch.Tensor]:
    """The weights of each linear layer as bitsandbytes says that they are."""
    return {
        name: bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        for name, module in model.named_modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    }


def logits(model: Any, processor: Any) -> torch.Tensor:
    inputs = processor(text="<image> what ?", images=[picture(0)], return_tensors="pt")
    with torch.inference_mode():
        result: torch.Tensor = model(**inputs).logits
    return result


def test_a_model_in_4_bits_computes_with_its_rounded_weights_and_leaves_them_so(folder: Path) -> None:
    rounded, whole = load_vlm(folder, options=FOUR), load_vlm(folder)
    weights = unrounded(rounded.model)
    assert len(weights) == 2 * 6 + 2 + 2 * 7  # tower, projector, decoder; not the head
    for name, value in weights.items():
        whole.model.get_submodule(name).weight.data = value.clone()
    difference = (logits(rounded.model, rounded.processor) - logits(whole.model, whole.processor)).abs().max()
    assert difference < 1e-5
    for name, value in unrounded(rounded.model).items():
        assert torch.equal(value, weights[name])


def test_dtype_is_that_of_what_is_not_rounded_and_of_computing(folder: Path) -> None:
    model = load_vlm(folder, options=LoadingOptions(load_in_4bit=True, dtype="bfloat16")).model
    layer = next(module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit))
    assert layer.compute_dtype == model.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("options", [FOUR, EIGHT])
def test_answers_are_the_same_shared_and_alone(folder: Path, options: LoadingOptions) -> None:
    loaded = load_vlm(folder, options=options)
    seen = opened(picture(0))
    questions = [Question(f"what is the {word} ?", (seen,), 6) for word in ("colour", "shape", "chart")]
    shared = [answer.text for answer in LocalAnswerer(loaded).answer(questions)]
    alone = [answer.text for answer in LocalAnswerer(loaded, share=False).answer(questions)]
    assert shared == alone and all(shared)


def test_weights_that_are_rounded_already_are_not_rounded_again(folder: Path, tmp_path: Path) -> None:
    load_vlm(folder, options=FOUR).model.save_pretrained(tmp_path)
    load_vlm(folder).processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["quantization_config"]["quant_method"] == "bitsandbytes"
    with pytest.raises(ConfigError, match=r"load_in_4bit.*are quantized already \(bitsandbytes\)"):
        load_vlm(tmp_path, options=FOUR)
    again, before = load_vlm(tmp_path), load_vlm(folder, options=FOUR)
    assert torch.equal(logits(again.model, again.processor), logits(before.model, before.processor))
