"""Folders of all generations load as published, and compute what the authors' formulas say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.ports.moondream import layout
from sightline.models.published.folder import Folder
from sightline.models.published.layout import registered
from tests.models.ports.moondream import published, reference
from tests.models.ports.moondream.published import write_folder

SIZES = {"wide": (70, 34), "high": (20, 41), "square": (32, 32)}  # width, height


def picture(name: str) -> Image.Image:
    width, height = SIZES[name]
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("shapes", "count", "numbers"),
    [
        (published.shapes_of_2024(published.sizes(), tiles=False), 578, 1_857_482_608),
        (published.shapes_of_2024(published.sizes(), tiles=True), 578, 1_866_919_792),
        (published.shapes_of_2025(published.sizes()), 592, 1_927_237_104),
    ],
)
def test_the_tables_of_names_are_the_published_ones(shapes: published.Shapes, count: int, numbers: int) -> None:
    assert len(shapes) == count
    assert sum(math.prod(shape) for shape in shapes.values()) == numbers


@pytest.mark.parametrize("generation", "ABCD")
def test_a_published_config_makes_a_model_of_exactly_the_published_tensors(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names after conversion, shapes and count, with nothing allocated; config.json is as the authors wrote it."""
    of_2025 = generation in "CD"
    shapes = (
        published.shapes_of_2025(published.sizes())
        if of_2025
        else published.shapes_of_2024(published.sizes(), tiles=generation == "B")
    )
    settings: dict[str, Any] = {"model_type": "moondream1"}
    settings |= {"architectures": ["HfMoondream"], "config": {}} if of_2025 else {"text_config": {"model_type": "phi"}}
    monkeypatch.setattr(Folder, "shapes", lambda self: shapes)
    code = {"C": published.OF_C, "D": published.OF_D}.get(generation)
    if code:
        (tmp_path / "moondream.py").write_text(code)
    parts = layout.parts_of_2025() if of_2025 else layout.parts_of_2024()
    folder = Folder(str(tmp_path), None, settings)
    config = parts.config(folder)
    assert config.generation == generation
    with torch.device("meta"):
        model = parts.model(config)
        stored = {name: torch.empty(shape) for name, shape in shapes.items()}
    conversions = list(parts.conversions(folder))
    with registered(parts.model, conversions):
        loaded, report = parts.model.from_pretrained(
            None, config=config, state_dict=stored, device_map="meta", output_loading_info=True
        )
    assert [report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")] == [set(), set(), set()]
    assert sum(p.numel() for p in model.parameters()) == sum(math.prod(shape) for shape in shapes.values())
    assert loaded.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("shards", ["safetensors", "bin"])
@pytest.mark.parametrize("generation", "ABCD")
def test_logits_are_those_of_the_formulas(generation: str, shards: str, tmp_path: Path) -> None:
    vlm = load_vlm(write_folder(tmp_path / "model", generation, shards=shards), dtype="float32", device="cpu")
    model: Any = vlm.model.double()
    w = {name: tensor.double() for name, tensor in reference.new_names(stored_tensors(tmp_path / "model")).items()}
    vlm.processor.image_processor.tiles_from = 40
    for name in SIZES:
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is this ?"}]}
        text = vlm.processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        inputs = vlm.processor(images=[[picture(name)]], text=[text], return_tensors="pt").to(torch.float64)
        feature = features(w, generation, inputs)
        found = model.get_image_features(inputs["pixel_values"], inputs.get("image_tiles")).pooler_output[0]
        torch.testing.assert_close(found, feature, rtol=0, atol=1e-5)
        ids = inputs["input_ids"][0].tolist()
        image_id = model.config.image_token_id
        assert ids[0] == model.config.text_config.bos_token_id and ids[1:17] == [image_id] * 16
        x = reference.embedded(w, ids, image_id, feature)
        prefix = 17 if generation in "CD" else 0
        expected = reference.logits(w, reference.decoder(w, x, heads=2, prefix=prefix))
        with torch.no_grad():
            torch.testing.assert_close(model(**inputs).logits[0], expected, rtol=0, atol=1e-5)


def features(w: reference.Tensors, generation: str, inputs: Any) -> torch.Tensor:
    pixels = inputs["pixel_values"][0]
    views = pixels[None] if pixels.dim() == 3 else pixels
    seen = torch.stack([reference.tower(w, view, patch=8, heads=2) for view in views])
    if generation == "A":
        return reference.project(w, seen[0])
    rows, columns = inputs["image_tiles"][0].tolist()
    if generation == "B":
        return reference.project(w, reference.joined_2024(seen, (rows, columns)))
    return reference.project(w, reference.joined_2025(seen, (rows, columns), margin=1))


def stored_tensors(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    tensors: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.bin"):
        tensors |= torch.load(path, weights_only=True)
    return tensors


@pytest.mark.parametrize("generation", "ABCD")
def test_a_saved_folder_loads_back_equal(generation: str, tmp_path: Path) -> None:
    vlm = load_vlm(write_folder(tmp_path / "model", generation))
    vlm.model.save_pretrained(tmp_path / "saved")
    vlm.processor.save_pretrained(tmp_path / "saved")
    again = load_vlm(tmp_path / "saved")
    torch.testing.assert_close(dict(again.model.state_dict()), dict(vlm.model.state_dict()), rtol=0, atol=0)
    settings = [{**each.model.config.to_dict(), "_name_or_path": ""} for each in (again, vlm)]
    assert settings[0] == settings[1]
    assert again.model.generation_config.eos_token_id == vlm.model.generation_config.eos_token_id
    assert again.processor.to_dict() == vlm.processor.to_dict()
    assert again.processor.chat_template == vlm.processor.chat_template


def test_what_training_scripts_leave_in_files_is_dropped(tmp_path: Path) -> None:
    """Names of compiled training and caches of keys; a region head of August 2024, which nobody uses."""
    folder = write_folder(tmp_path / "new", "C")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "model.text.blocks.0.kv_cache.k_cache": torch.zeros(3)}, folder / "model.safetensors")
    assert load_vlm(folder).model.config.generation == "C"
    old = write_folder(tmp_path / "old", "B")
    tensors = load_file(old / "model.safetensors")
    compiled = {
        name.replace("text_model.transformer.h.0.", "text_model.transformer.h.0._orig_mod."): tensor
        for name, tensor in tensors.items()
    }
    save_file({**compiled, "region_model.position_head.weight": torch.zeros(3)}, old / "model.safetensors")
    assert load_vlm(old).model.config.generation == "B"


def test_weights_of_half_precision_are_loaded_in_bf16(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "C")
    tensors = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    assert load_vlm(folder).model.dtype == torch.bfloat16
    assert load_vlm(folder, dtype="float32").model.dtype == torch.float32


def test_settings_and_weights_of_two_years_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "A")
    settings = json.loads((folder / "config.json").read_text())
    settings["architectures"] = ["HfMoondream"]
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"config.json is that of moondream2 of 2025, but the weights are of 2024"):
        load_vlm(folder)


def test_a_folder_without_weights_of_moondream_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "A")
    save_file({"lm_head.weight": torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"expected the weights of moondream2, .* got lm_head.weight and others"):
        load_vlm(folder)


def test_half_a_download_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "A", shards="bin")
    (folder / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(InputError, match="pytorch_model-00001-of-00002.bin"):
        load_vlm(folder)


def test_a_config_that_lies_about_sizes_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "A")
    settings = json.loads((folder / "config.json").read_text())
    settings["text_config"]["intermediate_size"] = 60
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="other shapes than config.json asks for"):
        load_vlm(folder)
