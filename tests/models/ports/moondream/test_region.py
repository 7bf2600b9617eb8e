"""Boxes and points are those of the authors' loop, number by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from sightline.models.load import load_vlm
from sightline.models.ports.moondream.region import Box, Point
from tests.models.ports.moondream import reference
from tests.models.ports.moondream.published import write_folder
from tests.models.ports.moondream.test_layout import features, picture

WORDS = 51200  # the prompts' ids are those of the published vocabularies


def biased(folder: Path, generation: str, seed: int, bias: float) -> Path:
    """A folder whose model says with this bias that nothing else is there."""
    write_folder(folder, generation, changed={"vocabulary": WORDS}, seed=seed)
    tensors = load_file(folder / "model.safetensors")
    stop = json.loads((folder / "config.json").read_text())["text_config"]["eos_token_id"]
    tensors["model.text.lm_head.bias"][0 if generation == "D" else stop] = bias
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("generation", "seed", "bias", "counts"), [("C", 1, 6.0, (7, 1)), ("D", 3, 6.0, (1, 1)), ("D", 0, 9.0, (0, 0))]
)
def test_boxes_and_points_are_those_of_the_formulas(
    generation: str, seed: int, bias: float, counts: tuple[int, int], tmp_path: Path
) -> None:
    vlm = load_vlm(biased(tmp_path / "model", generation, seed, bias), dtype="float32", device="cpu")
    model: Any = vlm.model
    processor: Any = vlm.processor
    w = reference.new_names(load_file(tmp_path / "model" / "model.safetensors"))
    image = picture("wide")
    found = {}
    for task, sized in (("detect", True), ("point", False)):
        inputs = processor.region_inputs(image, "red circle", task)
        ids = inputs["input_ids"][0].tolist()
        x = reference.embedded(w, ids, model.config.image_token_id, features(w, generation, inputs))
        stop = model.config.text_config.eos_token_id
        found[task] = reference.regions(w, x, heads=2, prefix=17, stop=stop, bins=32, sized=sized)
    boxes = [Box(x - a / 2, y - b / 2, x + a / 2, y + b / 2) for x, y, a, b in found["detect"]]
    assert (len(boxes), len(found["point"])) == counts, "loops that never run, or never end, prove nothing"
    assert model.detect(image, "red circle", processor) == boxes
    assert model.point(image, "red circle", processor) == [Point(*place) for place in found["point"]]


def test_prompts_are_the_authors_ids(tmp_path: Path) -> None:
    for generation, before, after in (("C", [198, 198, 47504, 25], [628]), ("D", [1, 7235, 476, 2], [3])):
        vlm = load_vlm(write_folder(tmp_path / generation, generation))
        processor: Any = vlm.processor
        name = processor.tokenizer(" red circle", add_special_tokens=False)["input_ids"]
        ids = processor.region_inputs(picture("square"), "red circle", "detect")["input_ids"][0].tolist()
        start = [vlm.model.config.text_config.bos_token_id, *[vlm.model.config.image_token_id] * 16]
        assert ids == [*start, *before, *name, *after]


def test_sizes_of_january_2025_are_shares_of_the_side(tmp_path: Path) -> None:
    """The bin 16 of 32 is half of the side, and since March 2 to the power of 10 * 16 / 31 - 10."""
    for name, code, expected in (
        ("january", 'from_pretrained("vikhyatk/moondream2")', 0.5),
        ("march", 'from_pretrained("vikhyatk/moondream2") 1023', 2 ** (160 / 31 - 10)),
    ):
        vlm = load_vlm(write_folder(tmp_path / name, "C", {"moondream.py": code}))
        region: Any = vlm.model.region
        assert region._side(16) == pytest.approx(expected, abs=1e-12)


def test_the_head_is_frozen_since_no_loss_reaches_it(tmp_path: Path) -> None:
    model = load_vlm(write_folder(tmp_path / "model", "C")).model
    for mode in (False, True):
        frozen = {
            name.partition(".")[0] for name, each in model.train(mode).named_parameters() if not each.requires_grad
        }
        assert frozen == {"region"}


def test_no_more_than_fifty_objects_are_read(tmp_path: Path) -> None:
    folder = biased(tmp_path / "model", "C", seed=0, bias=-1e9)
    vlm = load_vlm(folder)
    model: Any = vlm.model
    assert len(model.point(picture("square"), "red", vlm.processor)) == 50
