"""The model gives what the published formulas give, whatever the rows hold and whatever runs around it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from sightline.errors import InputError
from tests.models.ports.cogvlm.formulas import image_vectors, logits
from tests.models.ports.cogvlm.tiny_cogvlm import SETTINGS, tiny_model

IMAGE = 18  # tokens
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-5}  # logits are of the size of ten


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def pixels(seed: int) -> torch.Tensor:
    return torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(seed))


def row(words: list[int], has_image: bool) -> tuple[list[int], list[int]]:
    image = IMAGE * has_image
    return [1, *[0] * image, *words], [0, *[1] * image, *[0] * len(words)]


def batch(rows: list[tuple[list[int], list[int]]], left: bool = False) -> dict[str, torch.Tensor]:
    longest = max(len(ids) for ids, _ in rows)
    padded = [[0] * (longest - len(ids)) for ids, _ in rows]
    put = (lambda pad, one: pad + one) if left else (lambda pad, one: one + pad)
    return {
        "input_ids": torch.tensor([put(pad, ids) for pad, (ids, _) in zip(padded, rows, strict=True)]),
        "token_type_ids": torch.tensor([put(pad, types) for pad, (_, types) in zip(padded, rows, strict=True)]),
        "attention_mask": torch.tensor([put(pad, [1] * len(ids)) for pad, (ids, _) in zip(padded, rows, strict=True)]),
    }


def test_image_features_are_those_of_the_formulas(model):
    found = model.get_image_features(torch.stack([pixels(0), pixels(1)])).pooler_output
    expected = torch.stack([image_vectors(model.state_dict(), SETTINGS, pixels(seed)) for seed in (0, 1)])
    assert found.shape == (2, IMAGE, 32)
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("has_image", [True, False], ids=["image", "text"])
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "stored"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_logits_are_those_of_the_formulas(has_image, exact, attention):
    model: Any = tiny_model(exact_rotary=exact)
    model.set_attn_implementation(attention)
    assert model.config.vision_config._attn_implementation == attention
    words = list(range(5, 60))
    inputs = {**batch([row(words, has_image)]), **({"pixel_values": pixels(0)[None]} if has_image else {})}
    expected = logits(model.state_dict(), SETTINGS, [1, *words], pixels(0) if has_image else None, exact)
    torch.testing.assert_close(model(**inputs).logits[0], expected, **CLOSE)


def test_frequencies_of_the_weights_are_not_the_exact_ones(model):
    words = list(range(5, 60))
    stored, exact = (logits(model.state_dict(), SETTINGS, [1, *words], None, exact) for exact in (False, True))
    assert (stored - exact).abs().max() > 1e-3


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_rows_of_unequal_length_with_and_without_image_are_each_as_alone(model, left):
    rows = [row([7, 8], True), row(list(range(9, 40)), False), row([5] * 9, True)]
    inputs = batch(rows, left)
    found = model(**inputs, pixel_values=torch.stack([pixels(0), pixels(1)])).logits
    for number, seed in enumerate((0, None, 1)):
        ids, types = rows[number]
        words = [1, *ids[1 + sum(types) :]]
        expected = logits(model.state_dict(), SETTINGS, words, None if seed is None else pixels(seed))
        torch.testing.assert_close(found[number][inputs["attention_mask"][number].bool()], expected, **CLOSE)


def test_an_image_takes_three_positions():
    inputs = batch([row([5, 6], True), row([5, 6, 7], False)], left=True)
    found, deltas = tiny_model().model.get_rope_index(
        inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"]
    )
    assert found[0].tolist() == [0, 1, *[2] * 16, 3, 4, 5]
    assert found[1].tolist() == [0] * 17 + [0, 1, 2, 3]
    assert deltas.tolist() == [[3 - IMAGE], [0]]


@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "no cache"])
def test_generated_tokens_are_the_likeliest_of_the_formulas(model, use_cache):
    rows = [row([7, 8, 9], True), row([], True), row(list(range(5, 20)), True)]
    inputs = {**batch(rows, left=True), "pixel_values": torch.stack([pixels(seed) for seed in range(3)])}
    found = model.generate(**inputs, max_new_tokens=6, do_sample=False, eos_token_id=None, use_cache=use_cache)
    found = found[:, -6:].tolist()
    for number, (ids, _) in enumerate(rows):
        words = [1, *ids[1 + IMAGE :]]
        for _ in range(6):
            words.append(int(logits(model.state_dict(), SETTINGS, words, pixels(number))[-1].argmax()))
        assert found[number] == words[-6:]


def test_several_answers_a_prompt_see_the_image_of_their_own(model):
    rows = [row([7, 8, 9], True), row([7, 8], False), row([7, 8, 9], True)]
    inputs = {**batch(rows, left=True), "pixel_values": torch.stack([pixels(0), pixels(1)])}
    settings: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "num_beams": 2}
    found = model.generate(**inputs, **settings)[:, -4:].tolist()
    for number, (one, seed) in enumerate(zip(rows, (0, None, 1), strict=True)):
        image = {} if seed is None else {"pixel_values": pixels(seed)[None]}
        assert found[number] == model.generate(**batch([one]), **image, **settings)[0, -4:].tolist()


@pytest.mark.parametrize("has_image", [True, False], ids=["image", "text"])
def test_both_experts_have_gradients_with_and_without_checkpointing(has_image):
    found = []
    for checkpointing in (False, True):
        model = tiny_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        inputs = {**batch([row([7, 8, 9], has_image)]), **({"pixel_values": pixels(0)[None]} if has_image else {})}
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        found.append({name: parameter.grad for name, parameter in model.named_parameters()})
    seen = {name for name, gradient in found[0].items() if gradient is not None}
    vision = {name for name in found[0] if name.startswith("model.vision.")}
    assert seen == set(found[0]) - (set() if has_image else vision)
    for name in seen:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-5, atol=1e-7)
    expert = found[0]["model.layers.0.mlp.vision_mlp.up_proj.weight"]
    assert bool(expert.any()) == has_image


def test_inputs_that_would_be_wrong_in_silence_are_refused(model):
    inputs = batch([row([7, 8], True)])
    image = {"pixel_values": pixels(0)[None]}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"token_type_ids": None}, "token_type_ids are needed beside images"),
        ({"attention_mask": (inputs["input_ids"] != 0).long()}, "got 0 .* and 18"),  # as `generate` guesses it
        ({"pixel_values": pixels(0)[None].expand(2, -1, -1, -1)}, "got 18 .* and 36"),
    ]
    for changes, told in refused:
        with pytest.raises(ValueError, match=told):
            model(**{**inputs, **image, **changes})
    with pytest.raises(InputError, match="images of 30 x 24 pixels, but this CogVLM reads those of 24 x 24"):
        model(**inputs, pixel_values=torch.zeros(1, 3, 24, 30))
    with pytest.raises(ValueError, match="position_ids are needed beside a cache"):
        cache = model(**inputs, **image, use_cache=True).past_key_values
        model(input_ids=torch.tensor([[5]]), past_key_values=cache)


def test_the_decoder_is_told_apart_from_tower_and_head(model):
    decoder = {id(parameter) for parameter in model.get_decoder().parameters()}
    outside = [name for name, parameter in model.named_parameters() if id(parameter) not in decoder]
    assert all(name.startswith(("model.vision.", "lm_head.")) for name in outside)
    assert len(outside) == 3 * 12 + 12 + 1


def test_bfloat16_weights_round_no_positions():
    wide: Any = tiny_model()
    narrow = copy.deepcopy(wide).bfloat16()
    found = [
        model.model.layers[0].self_attn.rotary_emb(torch.arange(300, 310)[None], torch.float)
        for model in (wide, narrow)
    ]
    torch.testing.assert_close(*found, rtol=0, atol=0)
