"""LLaVA 1.5 and 1.6 in the authors' layout give what the same weights give in transformers' own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
)

from sightline.cli.main import run
from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.pretrained import load_pretrained
from sightline.settings.loading import LoadingOptions
from tests.models.ports.cogvlm.tiny_cogvlm import vocabulary_file
from tests.models.published.checkpoints import byte_tokenizer, renamed, write_config, write_weights
from tests.tiny import picture

TOWER = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1,
    "image_size": 32, "patch_size": 8, "projection_dim": 64, "initializer_range": 0.2,
}  # fmt: skip
TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 2048, "initializer_range": 0.2,
}  # fmt: skip
PINPOINTS = [[32, 64], [64, 32], [64, 64]]
NAMES = {
    "model.vision_tower.": "model.vision_tower.vision_tower.vision_model.",
    "model.multi_modal_projector.linear_1": "model.mm_projector.0",
    "model.multi_modal_projector.linear_2": "model.mm_projector.2",
    "model.language_model.": "model.",
}
MESSAGES = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]},
    {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
]


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the authors' layout, and the same model as transformers builds it, with padded embeddings."""

    folder: Path
    model: Any


def checkpoint(folder: Path, anyres: bool = True, chatml: bool = False, pickled: bool = False) -> Checkpoint:
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(*(("<|im_start|>", "<|im_end|>") if chatml else ()))
    image_id, rows = len(tokenizer), -(-(len(tokenizer) + 1) // 64) * 64
    shared = {
        "text_config": LlamaConfig(**TEXT, vocab_size=rows),
        "vision_config": CLIPVisionConfig(**TOWER),
        "image_token_index": image_id,
    }
    kind = LlavaNextForConditionalGeneration if anyres else LlavaForConditionalGeneration
    config = LlavaNextConfig(**shared, image_grid_pinpoints=PINPOINTS) if anyres else LlavaConfig(**shared)
    model = kind(config).eval()
    tensors = model.state_dict()
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        tensors[name][image_id:] = tensors[name][:image_id].mean(0)
    stored = renamed(tensors, NAMES)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        stored[name] = stored[name][:image_id].clone()
    write_config(folder, **settings(anyres, image_id))
    write_weights(folder, stored, pickled, shards=3)
    tokenizer.save_pretrained(folder)
    return Checkpoint(folder, model)


def settings(anyres: bool, vocabulary: int) -> dict[str, Any]:
    own = {"image_aspect_ratio": "anyres", "image_grid_pinpoints": PINPOINTS, "mm_patch_merge_type": "spatial_unpad"}
    return {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", **TEXT, "vocab_size": vocabulary,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2, "mm_use_im_start_end": False,
        "mm_hidden_size": 64, "torch_dtype": "float32", **(own if anyres else {"image_aspect_ratio": "pad"}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("anyres", "pickled"), [(True, False), (False, False), (True, True)], ids=["1.6", "1.5", "1.6 as .bin"]
)
def test_weights_are_those_of_transformers_class_with_rows_for_the_image_token(tmp_path, anyres, pickled):
    made = checkpoint(tmp_path / "llava", anyres, pickled=pickled)
    found = load_vlm(made.folder)
    torch.testing.assert_close(dict(found.model.state_dict()), dict(made.model.state_dict()), rtol=0, atol=0)
    assert found.model.config.image_token_id == found.processor.image_token_id == len(byte_tokenizer())


def test_answers_are_those_of_transformers_class(tmp_path, capsys):
    made = checkpoint(tmp_path / "llava")
    picture(0, 50).save(tmp_path / "photo.png")
    processor = load_pretrained(AutoProcessor, made.folder)
    text = processor.apply_chat_template(MESSAGES[:1], add_generation_prompt=True)
    inputs = processor(text=text, images=[picture(0, 50)], return_tensors="pt")
    said = made.model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=2, pad_token_id=0)
    expected = processor.tokenizer.decode(said[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    asked = ["ask", str(made.folder), str(tmp_path / "photo.png"), "What is it?", "--max_new_tokens", "12", "--json"]
    assert run(asked) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == expected


@pytest.mark.parametrize(
    ("chatml", "architecture", "expected"),
    [
        (
            False,
            "LlavaLlamaForCausalLM",
            "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
            "detailed, and polite answers to the user's questions. USER: <image>\nWhat is it? ASSISTANT: A dog.</s>"
            "USER: Why? ASSISTANT:",
        ),
        (
            True,
            "LlavaLlamaForCausalLM",
            "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\nWhat is it?<|im_end|>"
            "<|im_start|>assistant\nA dog.<|im_end|><|im_start|>user\nWhy?<|im_end|><|im_start|>assistant\n",
        ),
        (False, "LlavaMistralForCausalLM", "[INST] <image>\nWhat is it? [/INST] A dog. </s>[INST] Why? [/INST]"),
    ],
    ids=["vicuna", "chatml", "mistral"],
)
def test_prompts_are_those_of_the_authors(tmp_path, chatml, architecture, expected):
    folder = checkpoint(tmp_path / "llava", chatml=chatml).folder
    change(folder, architectures=[architecture])
    assert load_pretrained(AutoProcessor, folder).apply_chat_template(MESSAGES, add_generation_prompt=True) == expected


def test_a_picture_is_padded_to_a_square_in_the_mean_colour_as_1_5_is_trained(tmp_path):
    processor = load_pretrained(AutoProcessor, checkpoint(tmp_path / "llava", anyres=False).folder)
    wide = picture(0, 32).crop((0, 8, 32, 24))
    pixels = processor.image_processor(wide, return_tensors="pt")["pixel_values"][0]
    assert pixels.shape == (3, 32, 32)
    np.testing.assert_allclose(pixels[:, :8], 0, atol=0.02)  # the mean colour, which normalising makes 0
    assert float(pixels[:, 8:24].abs().mean()) > 0.5


def test_a_tower_that_is_not_stored_is_taken_from_its_folder_or_asked_for(tmp_path):
    made = checkpoint(tmp_path / "llava", anyres=False)
    tensors = {name: tensor for name, tensor in renamed(made.model.state_dict(), NAMES).items() if "tower" not in name}
    for path in made.folder.glob("model*"):
        path.unlink()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name][: len(byte_tokenizer())].clone()
    write_weights(made.folder, tensors)
    with pytest.raises(InputError, match="names openai/clip-vit-large-patch14-336 .* not here. Copy"):
        load_vlm(made.folder)
    tower = CLIPVisionModel(CLIPVisionConfig(**TOWER))
    tower.load_state_dict(made.model.model.vision_tower.state_dict())
    tower.save_pretrained(made.folder / "openai" / "clip-vit-large-patch14-336")
    found = load_vlm(made.folder)
    torch.testing.assert_close(dict(found.model.state_dict()), dict(made.model.state_dict()), rtol=0, atol=0)
    with pytest.raises(InputError, match="cannot be rounded while they are loaded.* models convert"):
        load_vlm(made.folder, options=LoadingOptions(load_in_4bit=True))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("mm_projector_type", "linear"), ("mm_use_im_start_end", True), ("architectures", ["LlavaQwenForCausalLM"])],
)
def test_another_llava_is_refused_by_what_is_different(tmp_path, setting, value):
    folder = checkpoint(tmp_path / "llava").folder
    change(folder, **{setting: value})
    with pytest.raises(InputError, match=f"config.json has {setting} .*converted checkpoint"):
        load_vlm(folder)


def change(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_a_vocabulary_of_sentencepiece_alone_is_read_with_the_tokens_that_are_never_split(tmp_path):
    made = checkpoint(tmp_path / "llava")
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "<|im_start|>", "<|im_end|>"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (made.folder / name).unlink()
    (made.folder / "tokenizer.model").write_bytes(vocabulary_file(tuple(words)))
    added = {str(words.index(word)): {"content": word, "special": True} for word in words[-2:]}
    (made.folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    tokenizer = load_pretrained(AutoProcessor, made.folder).tokenizer
    assert tokenizer.encode("<|im_start|>a<image>", add_special_tokens=False) == [words.index("<|im_start|>"), *[
        3 + byte for byte in b"a"
    ], len(words)]  # fmt: skip
    assert tokenizer("red")["input_ids"][0] == 1
    added["7"] = {"content": "<|im_end|>"}
    (made.folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"7": added["7"]}}))
    with pytest.raises(InputError, match=r"gives '<\|im_end\|>' the number 7, but tokenizer.model makes it"):
        load_pretrained(AutoProcessor, made.folder)
