"""Tower and decoder are told apart, also where the decoder is no module of its own."""

from __future__ import annotations

from sightline.engine.feature_store import decoder_parts, find_storable, vision_parameters
from sightline.inspection.modules import group_parameters
from tests.families.case import Case
from tests.models.ports.qwen_vl.tiny import tiny_model
from tests.tiny import tiny_llava


def test_a_decoder_of_its_own_is_the_decoder():
    model = tiny_llava()
    assert decoder_parts(model) == [model.model.language_model]


def test_parts_beside_the_tower_are_the_decoder():
    model = tiny_model()
    base = model.transformer
    assert decoder_parts(model) == [base.wte, base.h, base.ln_f]
    vision = {id(parameter) for parameter in vision_parameters(model)}
    assert vision == {id(parameter) for parameter in base.visual.parameters()}
    groups = {group: {name for name, _ in parameters} for group, parameters in group_parameters(model).items()}
    assert groups["vision tower"] == {f"transformer.visual.{name}" for name, _ in base.visual.named_parameters()}


def test_features_of_a_tower_beside_the_decoder_are_stored_once_it_is_frozen(tmp_path):
    case = Case("qwen", tmp_path)
    batch = case.batch
    assert (
        find_storable(case.model, case.facts, batch.image_inputs, batch.image_spans).reason == "the vision tower trains"
    )
    case.model.transformer.visual.requires_grad_(False)
    assert find_storable(case.model, case.facts, batch.image_inputs, batch.image_spans).stage == "features"
