"""Yi-VL as published: its projector's arithmetic, its tower's folder, its prompt and its stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoProcessor, CLIPVisionConfig, CLIPVisionModel, LlamaConfig

from sightline.errors import InputError
from sightline.models.families import FAMILIES
from sightline.models.generate import decoded_answers
from sightline.models.load import load_vlm
from sightline.models.ports.yi_vl import YiVLConfig, YiVLForConditionalGeneration
from sightline.models.pretrained import load_pretrained
from sightline.models.published.table import recognise
from tests.models.published.checkpoints import byte_tokenizer, renamed, write_config, write_weights
from tests.models.published.test_llava import MESSAGES, TEXT, TOWER, change
from tests.tiny import picture

VIT = "./vit/clip-vit-H-14-laion2B-s32B-b79K-yi-vl-34B-448"
NAMES = {
    "model.multi_modal_projector.linear_1": "model.mm_projector.0",
    "model.multi_modal_projector.norm_1": "model.mm_projector.1",
    "model.multi_modal_projector.linear_2": "model.mm_projector.3",
    "model.multi_modal_projector.norm_2": "model.mm_projector.4",
    "model.language_model.": "model.",
    "model.vision_tower.": "model.vision_tower.vision_tower.vision_model.",
}
HEADS = {"num_attention_heads": 2}  # 32 channels each, which shapes alone do not tell


def checkpoint(folder: Path, inside: bool = False) -> Any:
    """The model; its weights lie in `.bin` shards, the tower in its own folder and, with `inside`, other ones there."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer("###")
    image_id, rows = len(tokenizer), -(-(len(tokenizer) + 1) // 64) * 64
    config = YiVLConfig(
        text_config=LlamaConfig(**TEXT, vocab_size=rows),
        vision_config=CLIPVisionConfig(**{**TOWER, **HEADS}),
        image_token_index=image_id,
    )
    model = YiVLForConditionalGeneration(config).eval()
    for norm in ("norm_1", "norm_2"):
        torch.nn.init.normal_(getattr(model.model.multi_modal_projector, norm).weight)
    tensors = model.state_dict()
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        tensors[name][image_id:] = tensors[name][:image_id].mean(0)
    stored = renamed(tensors, NAMES)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        stored[name] = stored[name][:image_id].clone()
    write_config(
        folder, architectures=["LlavaLlamaForCausalLM"], model_type="llava", **TEXT, vocab_size=image_id,
        image_aspect_ratio="pad", mm_projector_type="mlp2x_gelu_Norm", mm_vision_tower=VIT,
        mm_vision_select_layer=-2, mm_vision_select_feature="patch", mm_use_im_start_end=False, torch_dtype="float32",
    )  # fmt: skip
    if not inside:
        stored = {name: tensor for name, tensor in stored.items() if "vision_tower" not in name}
    write_weights(folder, stored, pickled=True, shards=2)
    tower = CLIPVisionModel(config.vision_config)
    if not inside:
        tower.load_state_dict(model.model.vision_tower.state_dict())
    tower.save_pretrained(folder / VIT)
    tokenizer.save_pretrained(folder)
    return model


@pytest.mark.parametrize("inside", [False, True], ids=["tower in its folder", "tower in the shards, too"])
def test_weights_are_those_that_were_published(tmp_path, inside):
    model = checkpoint(tmp_path / "yi", inside)
    found = load_vlm(tmp_path / "yi", device="cpu")
    torch.testing.assert_close(dict(found.model.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    assert found.model.config.vision_config.num_attention_heads == 2


def test_features_are_those_of_the_authors_formula(tmp_path):
    model = checkpoint(tmp_path / "yi")
    found = load_vlm(tmp_path / "yi", device="cpu")
    pixels = found.processor.image_processor(picture(0, 50), return_tensors="pt")["pixel_values"]
    w = {name.rpartition("projector.")[2]: tensor for name, tensor in model.state_dict().items() if "projector" in name}
    seen = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
    hidden = F.linear(seen, w["linear_1.weight"], w["linear_1.bias"])
    hidden = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    hidden = hidden * w["norm_1.weight"] + w["norm_1.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    hidden = F.linear(hidden, w["linear_2.weight"], w["linear_2.bias"])
    hidden = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = hidden * w["norm_2.weight"] + w["norm_2.bias"]
    features = found.model.get_image_features(pixels).pooler_output
    torch.testing.assert_close(torch.cat(list(features)), expected[0], rtol=0, atol=1e-5)


def test_the_prompt_is_that_of_the_authors(tmp_path):
    checkpoint(tmp_path / "yi")
    said = load_pretrained(AutoProcessor, tmp_path / "yi").apply_chat_template(MESSAGES)
    system, _, rest = said.partition("\n\n")
    assert system.startswith("This is a chat between an inquisitive human") and system.endswith("礼貌的回答。")
    assert rest == (
        "### Human: <image_placeholder>\nWhat is it?\n### Assistant: A dog.\n### Human: Why?\n### Assistant:"
    )


def test_an_answer_ends_in_front_of_the_mark_of_the_next_turn(tmp_path):
    checkpoint(tmp_path / "yi")
    loaded = load_vlm(tmp_path / "yi", device="cpu")
    stops = loaded.model.generation_config.eos_token_id
    said = loaded.processor.tokenizer.encode("A dog.\n###", add_special_tokens=False)
    assert said[-1] in stops
    end_word = FAMILIES["yi_vl"].end_word
    assert [answer.text for answer in decoded_answers(loaded.processor, [said], stops, end_word)] == ["A dog."]


def test_what_is_saved_is_loaded_again_as_it_was(tmp_path):
    checkpoint(tmp_path / "yi")
    loaded = load_vlm(tmp_path / "yi", device="cpu")
    loaded.model.save_pretrained(tmp_path / "saved")
    loaded.processor.save_pretrained(tmp_path / "saved")
    again = load_vlm(tmp_path / "saved", device="cpu")
    torch.testing.assert_close(dict(again.model.state_dict()), dict(loaded.model.state_dict()), rtol=0, atol=0)
    text = loaded.processor.apply_chat_template(MESSAGES)
    assert again.processor.apply_chat_template(MESSAGES) == text


def test_the_model_of_the_published_config_has_the_published_tensors():
    config = YiVLConfig(
        text_config=LlamaConfig(
            hidden_size=7168, intermediate_size=20480, num_hidden_layers=60, num_attention_heads=56,
            num_key_value_heads=8, vocab_size=64000, rope_theta=5e6, rms_norm_eps=1e-5,
        ),
        vision_config=CLIPVisionConfig(
            hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, patch_size=14,
            image_size=448,
        ),
    )  # fmt: skip
    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape) for name, tensor in YiVLForConditionalGeneration(config).state_dict().items()
        }
    projector = {name.rpartition("projector.")[2]: shape for name, shape in shapes.items() if "projector" in name}
    assert projector == {
        "linear_1.weight": (7168, 1280), "linear_1.bias": (7168,), "norm_1.weight": (7168,), "norm_1.bias": (7168,),
        "linear_2.weight": (7168, 7168), "linear_2.bias": (7168,), "norm_2.weight": (7168,), "norm_2.bias": (7168,),
    }  # fmt: skip
    decoder = [name for name in shapes if "language_model" in name or name == "lm_head.weight"]
    assert len(decoder) == 60 * 9 + 3
    assert sum(torch.Size(shapes[name]).numel() for name in decoder) == 34_388_917_248  # as Yi-34B


def test_a_llava_without_norms_is_none(tmp_path):
    checkpoint(tmp_path / "yi")
    change(tmp_path / "yi", mm_projector_type="mlp3x_gelu_Norm")
    with pytest.raises(InputError, match="mm_projector_type 'mlp3x_gelu_Norm'; Yi-VL has"):
        load_vlm(tmp_path / "yi")
    found = recognise(str(tmp_path / "yi"))
    assert found is not None and re.match("Yi-VL", found.layout.name)
