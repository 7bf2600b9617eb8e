"""Weights rounded to 4 and 8 bits: the model computes with exactly what bitsandbytes stored, on the CPU, too."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.errors import ConfigError, InputError, MachineError
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


def quantized_folder(folder: Path, target: Path, **settings: Any) -> Path:
    """A copy whose config.json says that its weights are quantized."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, "quantization_config": settings}))
    return target


GROUPS = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4}}}
COMPRESSED = {"format": "pack-quantized", "config_groups": GROUPS}


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"quant_method": "awq", "bits": 4}, MachineError, r"quantized \(awq\), which needs .*pip install gptqmodel"),
        ({"quant_method": "gptq", "bits": 4}, MachineError, r"\(gptq\), which needs more .*(optimum|gptqmodel)"),
        ({"quant_method": "compressed-tensors", **COMPRESSED}, MachineError, r"pip install compressed-tensors"),
        ({"quant_method": "fbgemm_fp8"}, MachineError, r"\(fbgemm_fp8\), which needs more than is here: .*GPU"),
        ({"quant_method": "torchao"}, MachineError, r"\(torchao\), which needs more than is here: .*torchao"),
        ({"quant_method": "mine"}, InputError, r"\(mine\), which transformers does not know"),
        ({"bits": 4}, InputError, r"quantization_config in config.json cannot be read: .*quant_method"),
        ({"quant_method": "fp8", "weight_block_size": "x"}, InputError, r"\(fp8\)"),
    ],
)
def test_what_a_quantized_folder_needs_is_said_in_a_line_before_weights_are_read(
    settings: dict[str, Any], kind: type, message: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = quantized_folder(folder, tmp_path / "quantized", **settings)
    monkeypatch.setattr("sightline.models.load.load_pretrained", lambda *_: pytest.fail("weights were read"))
    if find_spec(str(settings.get("quant_method")).replace("-", "_")) or torch.cuda.is_available():
        pytest.skip("what is missing elsewhere is here")
    with pytest.raises(kind, match=message):
        load_vlm(named)


def test_fp8_without_a_gpu_is_read_into_full_numbers(folder: Path, tmp_path: Path) -> None:
    """The decoder's linear layers in FP8 with one scale each, which is exactly a power of two."""
    if torch.cuda.is_available():
        pytest.skip("a GPU computes in FP8")
    others = ["vision_tower", "multi_modal_projector", "lm_head"]
    config = {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": others}
    named = quantized_folder(folder, tmp_path / "fp8", **config)
    expected, stored = load_vlm(folder).model, dict[str, torch.Tensor]()
    for name, value in load_file(named / "model.safetensors").items():
        if "layers" in name and name.startswith("language_model") and value.dim() == 2:
            rounded = (value / 0.25).to(torch.float8_e4m3fn)
            stored |= {name: rounded, f"{name}_scale_inv": torch.full((1, 1), 0.25)}
            inner = name.removeprefix("language_model.model.").removesuffix(".weight")
            expected.model.language_model.get_submodule(inner).weight.data = rounded.float() * 0.25
        else:
            stored[name] = value
    save_file(stored, named / "model.safetensors", metadata={"format": "pt"})
    read = load_vlm(named, dtype="float32")
    assert (logits(read.model, read.processor) - logits(expected, read.processor)).abs().max() < 1e-5
