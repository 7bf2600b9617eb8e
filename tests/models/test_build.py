"""Built VLMs: the same seed, the same weights; saved folders load in the ordinary way; parts that do not fit teach."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.errors import ConfigError, MachineError, RunFolderError
from sightline.models.build import BuildSpec, BuiltVlm, build_vlm, preset_spec, save_vlm
from sightline.runs import RunFolder

VIT = {
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@pytest.fixture(scope="module")
def nano() -> BuiltVlm:
    return build_vlm(preset_spec("nano"), seed=3)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def inputs_of(built: Any, picture: Image.Image, question: str = "What colour is the circle?") -> Any:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = built.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return built.processor(text=text, images=[picture], return_tensors="pt", add_special_tokens=False)


def logits_of(built: Any, picture: Image.Image) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = built.model(**inputs_of(built, picture)).logits
    return logits


def reloaded(folder: Any) -> BuiltVlm:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    return BuiltVlm(AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder))


def test_saved_nano_answers_as_before_when_loaded_by_plain_auto_classes(nano, picture, tmp_path):
    again = reloaded(save_vlm(nano, tmp_path / "nano"))
    assert len({path.stat().st_mode for path in (tmp_path / "nano").iterdir()}) == 1  # who reads one, reads all
    torch.testing.assert_close(logits_of(again, picture), logits_of(nano, picture), rtol=0, atol=0)
    inputs = inputs_of(again, picture)
    ids = again.model.generate(**inputs, max_new_tokens=4)
    assert torch.equal(ids, nano.model.generate(**inputs, max_new_tokens=4))
    assert again.model.generation_config.eos_token_id == again.processor.tokenizer.eos_token_id


def test_nano_is_about_a_million_parameters_and_64_image_tokens(nano, picture):
    assert 0.9e6 < nano.model.num_parameters() < 4e6
    inputs = inputs_of(nano, picture)
    assert (inputs["input_ids"] == nano.model.config.image_token_index).sum() == 64
    assert not nano.model.training


def test_same_seed_gives_same_weights_and_leaves_the_global_generator(nano):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    again, other = build_vlm(preset_spec("nano"), seed=3), build_vlm(preset_spec("nano"), seed=4)
    assert torch.equal(torch.rand(1), expected)
    weights = nano.model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in again.model.state_dict().items())
    assert not torch.equal(weights["lm_head.weight"], other.model.state_dict()["lm_head.weight"])


def test_every_parameter_of_nano_gets_a_gradient(nano, picture):
    model = build_vlm(preset_spec("nano"), seed=3).model.train()
    inputs = inputs_of(nano, picture)
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_kernels_of_a_tower_with_a_gain_are_drawn_by_their_inputs():
    tower = build_vlm(preset_spec("nano"), seed=0).model.model.vision_tower
    kernel = tower.encoder.stages[1].layers[1].conv2.weight  # 32 channels of 3 x 3
    assert kernel.std().item() == pytest.approx(0.3 * (32 * 9) ** -0.5, rel=0.05)


@pytest.mark.parametrize("text", ["What colour is it?", "naïve Zürich 猫 don't\n\ttab", "12 bars, 345", ""])
def test_tokenizer_encodes_any_text_and_gives_it_back(nano, text):
    tokenizer = nano.processor.tokenizer
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_everyday_words_are_one_token_and_digits_stay_single(nano):
    tokenizer = nano.processor.tokenizer
    words = "red orange circle rectangle triangle yes no left middle bar"
    assert all(len(tokenizer(word)["input_ids"]) == 1 for word in words.split())
    assert len(tokenizer(words)["input_ids"]) == len(words.split())
    assert len(tokenizer("1234")["input_ids"]) == 4


def test_prompt_is_a_prefix_of_prompt_and_answer_and_only_the_answer_is_marked(nano):
    processor = nano.processor
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    ]
    whole = [*prompt, {"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]}]
    start = processor.apply_chat_template(prompt, add_generation_prompt=True)
    text = processor.apply_chat_template(whole)
    assert text == start + "a red circle</s>"
    assert start.count("<image>") == 1
    encoded = processor.tokenizer.apply_chat_template(
        whole, chat_template=processor.chat_template, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [token for token, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert processor.tokenizer.decode(marked) == "a red circle</s>"


def test_class_token_is_dropped_and_projector_follows_the_parts(picture):
    built = build_vlm(BuildSpec(VIT, LLAMA, projector="relu"), seed=0)
    assert built.model.config.vision_feature_select_strategy == "default"
    assert built.model.model.multi_modal_projector.linear_1.weight.shape == (48, 32)
    assert (inputs_of(built, picture)["input_ids"] == built.model.config.image_token_index).sum() == 16
    assert logits_of(built, picture).isfinite().all()


def test_pretrained_folders_bring_their_weights_tokenizer_and_template(picture, tmp_path):
    from transformers import AutoModel, AutoModelForCausalLM, CLIPImageProcessor

    source = build_vlm(BuildSpec(VIT, LLAMA), seed=0)
    tower, decoder = tmp_path / "tower", tmp_path / "decoder"
    AutoModel.from_config(source.model.config.vision_config).save_pretrained(tower)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False).save_pretrained(tower)
    text_model = AutoModelForCausalLM.from_config(source.model.config.text_config)
    text_model.save_pretrained(decoder)
    tokenizer = source.processor.tokenizer
    tokenizer.save_pretrained(decoder)
    built = build_vlm(BuildSpec(str(tower), str(decoder)), seed=1)
    loaded = built.model.model.language_model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in text_model.base_model.state_dict().items())
    assert torch.equal(built.model.lm_head.weight, text_model.lm_head.weight)
    assert list(built.processor.image_processor.image_mean) == list(CLIPImageProcessor().image_mean)
    text = built.processor.apply_chat_template(
        [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "red"}]
    )
    assert text == "<s>USER: What? ASSISTANT: red</s>"
    again = reloaded(save_vlm(built, tmp_path / "vlm"))
    torch.testing.assert_close(logits_of(again, picture), logits_of(built, picture), rtol=0, atol=0)


CONVNEXT = {"model_type": "convnext", "num_stages": 2, "depths": [1, 1], "hidden_sizes": [16, 32]}


def test_a_tower_with_maps_yields_a_token_for_every_place(picture):
    built = build_vlm(BuildSpec(CONVNEXT, LLAMA, image_size=32), seed=0)
    assert built.model.model.multi_modal_projector.linear_1.weight.shape == (48, 32)
    assert (inputs_of(built, picture)["input_ids"] == built.model.config.image_token_index).sum() == 16
    assert logits_of(built, picture).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tower": {**VIT, "model_type": "vitt"}}, r"no model_type 'vitt'. Did you mean 'vit'\?"),
        ({"tower": {**VIT, "hiden_size": 3}}, r"no key 'hiden_size'. Did you mean 'hidden_size'\?"),
        ({"tower": {"hidden_size": 3}}, '"model_type"'),
        ({"tower": {"model_type": "bit"}}, "Set image_size"),
        ({"tower": CONVNEXT, "image_size": 32, "feature_layer": -2}, "its last one, -1; got -2"),
        ({"tower": {"model_type": "regnet", "depths": [1, 1, 1, 1]}, "image_size": 32}, "is a BatchNorm"),
        ({"tower": LLAMA, "image_size": 32}, "cannot read a picture"),
        ({"tower": "no/such/file.json"}, "no file or folder no/such/file.json"),
        ({"decoder": {**LLAMA, "vocab_size": 100}}, "a vocab_size of at least 2"),
        ({"decoder": VIT}, "expected a causal language model, got model_type 'vit'"),
        ({"projector": "geluu"}, r"no activation 'geluu'. Did you mean 'gelu'\?"),
        ({"feature_layer": 7}, "feature_layer: expected -2 to 1, got 7"),
        ({"image_size": 30}, "cannot read a picture of 30 x 30|no square grid"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_what_to_do(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_vlm(BuildSpec(**{"tower": VIT, "decoder": LLAMA, **changes}), seed=0)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"got 'nanno'. Did you mean 'nano'\?"):
        preset_spec("nanno")


def test_a_folder_with_something_in_it_is_never_overwritten(nano, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="holds something already"):
        save_vlm(nano, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_of_two_builds_of_one_folder_one_wins_and_the_other_is_told(nano, tmp_path):
    folder = tmp_path / "nano"
    folder.mkdir()
    with RunFolder(folder).at_work(), pytest.raises(RunFolderError, match="another run is at work there"):
        save_vlm(nano, folder)
    save_vlm(nano, folder)  # what a killed build has locked is free
    assert not (folder / ".lock").exists()
    with pytest.raises(RunFolderError, match="holds something already"):
        save_vlm(nano, folder)


def test_a_json_file_that_is_no_config_is_refused(tmp_path):
    path = tmp_path / "tower.json"
    path.write_text(json.dumps([1, 2]))
    with pytest.raises(ConfigError, match="expected an object of settings in .*tower.json, got list"):
        build_vlm(BuildSpec(path, LLAMA), seed=0)


def test_a_disk_that_fills_leaves_no_half_of_a_model(nano, tmp_path, monkeypatch):
    def fills(folder: Any) -> None:
        (folder / "half.json").write_text("{")
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(type(nano.processor), "save_pretrained", lambda self, folder: fills(folder))
        with pytest.raises(MachineError, match="No space left on device"):
            save_vlm(nano, tmp_path / "nano")
    assert list((tmp_path / "nano").iterdir()) == []
    save_vlm(nano, tmp_path / "nano")
