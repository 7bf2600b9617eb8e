"""The model has the published tensors, and computes what ports.md's formulas say, written here once more, slowly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, interpolate, layer_norm, silu

from sightline.models.load import load_vlm
from sightline.models.ports.qwen_vl.config import QwenVLConfig
from sightline.models.ports.qwen_vl.model import QwenVLForConditionalGeneration
from sightline.models.ports.qwen_vl.visual import sine_table
from tests.models.ports.qwen_vl.tiny import IMAGE_START, QUERIES, RANKS, published, tiny_model

PARAMETERS, BYTES, TENSORS = 9_656_935_168, 19_313_870_336, 853  # bytes: `total_size` of the published index
IMAGE = [IMAGE_START, *[IMAGE_START + 2] * QUERIES, IMAGE_START + 1]


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of Qwen-VL's index."""
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (151936, 4096),
        "transformer.ln_f.weight": (4096,),
        "lm_head.weight": (151936, 4096),
    }
    for layer in range(32):
        stem = f"transformer.h.{layer}."
        shapes |= {
            f"{stem}ln_1.weight": (4096,),
            f"{stem}ln_2.weight": (4096,),
            f"{stem}attn.c_attn.weight": (12288, 4096),
            f"{stem}attn.c_attn.bias": (12288,),
            f"{stem}attn.c_proj.weight": (4096, 4096),
            f"{stem}mlp.w1.weight": (11008, 4096),
            f"{stem}mlp.w2.weight": (11008, 4096),
            f"{stem}mlp.c_proj.weight": (4096, 11008),
        }
    eye = "transformer.visual."
    shapes |= {f"{eye}conv1.weight": (1664, 3, 14, 14), f"{eye}positional_embedding": (256, 1664)}
    shapes |= {f"{eye}{norm}.{part}": (1664,) for norm in ("ln_pre",) for part in ("weight", "bias")}
    shapes |= {f"{eye}ln_post.{part}": (4096,) for part in ("weight", "bias")}
    shapes |= {f"{eye}proj": (4096, 4096)}
    linears = {"attn.in_proj": (4992, 1664), "attn.out_proj": (1664, 1664)}
    linears |= {"mlp.c_fc": (8192, 1664), "mlp.c_proj": (1664, 8192)}
    for block in range(48):
        stem = f"{eye}transformer.resblocks.{block}."
        shapes |= {f"{stem}{norm}.{part}": (1664,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
        shapes |= {f"{stem}{name}.weight": shape for name, shape in linears.items()}
        shapes |= {f"{stem}{name}.bias": shape[:1] for name, shape in linears.items()}
    pool = f"{eye}attn_pool."
    shapes |= {f"{pool}{name}": (256, 4096) for name in ("query", "pos_embed")}
    shapes |= {f"{pool}{norm}.{part}": (4096,) for norm in ("ln_q", "ln_kv") for part in ("weight", "bias")}
    shapes |= {f"{pool}kv_proj.weight": (4096, 1664), f"{pool}attn.in_proj_weight": (12288, 4096)}
    shapes |= {f"{pool}attn.in_proj_bias": (12288,), f"{pool}attn.out_proj.weight": (4096, 4096)}
    return shapes | {f"{pool}attn.out_proj.bias": (4096,)}


def test_the_model_has_the_published_tensors_to_the_byte():
    with torch.device("meta"):
        model = QwenVLForConditionalGeneration(QwenVLConfig()).to(torch.bfloat16)
    tensors = model.state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == published_shapes()
    assert len(tensors) == TENSORS
    assert model.transformer.visual.attn_pool.attn.num_heads == 32
    assert sum(tensor.numel() for tensor in tensors.values()) == PARAMETERS
    assert sum(tensor.nbytes for tensor in tensors.values()) == BYTES


def slow_features(weights: dict[str, Tensor], pixels: Tensor, heads: int = 2) -> Tensor:
    """Features of one image (3, 56, 56), head by head."""
    eye = {name.removeprefix("transformer.visual."): tensor for name, tensor in weights.items() if ".visual." in name}

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, x.shape[-1:], eye[f"{name}.weight"], eye[f"{name}.bias"], 1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ eye[f"{name}.weight"].T + eye[f"{name}.bias"]

    def stretched(table: Tensor, side: int) -> Tensor:
        old = math.isqrt(len(table))
        square = table.reshape(1, old, old, -1).permute(0, 3, 1, 2)
        return interpolate(square, (side, side), mode="bicubic", align_corners=False)[0].flatten(1).T

    kernel = eye["conv1.weight"].flatten(1)
    rows = [pixels[:, y : y + 14, x : x + 14].flatten() for y in range(0, 56, 14) for x in range(0, 56, 14)]
    x = torch.stack(rows) @ kernel.T
    x = norm(x + stretched(eye["positional_embedding"], 4), "ln_pre")
    for block in range(2):
        stem = f"transformer.resblocks.{block}"
        mixed, width = linear(norm(x, f"{stem}.ln_1"), f"{stem}.attn.in_proj"), x.shape[1] // heads
        outs = []
        for head in range(heads):
            q, k, v = mixed[:, head * 3 * width : (head + 1) * 3 * width].split(width, dim=1)
            outs.append((q / math.sqrt(width) @ k.T).softmax(-1) @ v)
        x = x + linear(torch.cat(outs, 1), f"{stem}.attn.out_proj")
        x = x + linear(gelu(linear(norm(x, f"{stem}.ln_2"), f"{stem}.mlp.c_fc")), f"{stem}.mlp.c_proj")
    value = norm(x @ eye["attn_pool.kv_proj.weight"].T, "attn_pool.ln_kv")
    key = value + stretched(eye["attn_pool.pos_embed"], 4)
    query = norm(eye["attn_pool.query"], "attn_pool.ln_q") + eye["attn_pool.pos_embed"]
    parts = zip(eye["attn_pool.attn.in_proj_weight"].chunk(3), eye["attn_pool.attn.in_proj_bias"].chunk(3), strict=True)
    q, k, v = (one @ w.T + b for one, (w, b) in zip((query, key, value), parts, strict=True))
    out = linear((q @ k.T / math.sqrt(32)).softmax(-1) @ v, "attn_pool.attn.out_proj")  # one head: 32 // 128 < 1
    return norm(out, "ln_post") @ eye["proj"]


def slow_logits(
    weights: dict[str, Tensor], embedded: Tensor, length: int | None = None, trained: int = 2048, heads: int = 4
) -> Tensor:
    """Logits of one row of embeddings (L, H), token by token where it matters; `length` is that of the prompt in
    evaluation, None in training."""
    base = 10000.0
    width = embedded.shape[1] // heads
    if length is not None:
        alpha = max(1, 2 ** math.ceil(math.log(length / trained, 2) + 1) - 1)
        base *= alpha ** (width / (width - 2))

    def norm(x: Tensor, name: str) -> Tensor:
        return weights[name] * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    def turned(x: Tensor, place: int) -> Tensor:
        half = width // 2
        angle = torch.tensor([place / base ** (2 * pair / width) for pair in range(half)])
        a, b = x[:half], x[half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()])

    x = embedded
    for layer in range(2):
        stem = f"transformer.h.{layer}"
        mixed = norm(x, f"{stem}.ln_1.weight") @ weights[f"{stem}.attn.c_attn.weight"].T
        q, k, v = (mixed + weights[f"{stem}.attn.c_attn.bias"]).chunk(3, dim=1)
        rows = []
        for n in range(1, len(x) + 1):
            scale = max(1.0, math.log(n) / math.log(trained)) if length is not None else 1.0
            outs = []
            for head in range(heads):
                at = slice(head * width, (head + 1) * width)
                query = turned(q[n - 1, at], n - 1) * scale
                keys = torch.stack([turned(k[m, at], m) for m in range(n)])
                outs.append((keys @ query / math.sqrt(width)).softmax(0) @ v[:n, at])
            rows.append(torch.cat(outs))
        x = x + torch.stack(rows) @ weights[f"{stem}.attn.c_proj.weight"].T
        y = norm(x, f"{stem}.ln_2.weight")
        inner = (y @ weights[f"{stem}.mlp.w1.weight"].T) * silu(y @ weights[f"{stem}.mlp.w2.weight"].T)
        x = x + inner @ weights[f"{stem}.mlp.c_proj.weight"].T
    return norm(x, "transformer.ln_f.weight") @ weights["lm_head.weight"].T


def slow_embedded(weights: dict[str, Tensor], ids: list[int], pixels: Tensor) -> Tensor:
    embedded = weights["transformer.wte.weight"][ids].clone()
    embedded[[place for place, token in enumerate(ids) if token == IMAGE_START + 2]] = slow_features(weights, pixels)
    return embedded


@pytest.mark.parametrize("shards", [".bin", ".safetensors"])
def test_logits_of_the_published_folder_are_those_of_the_formulas(tmp_path, shards):
    folder = published(tmp_path / "model", shards=shards)
    model = load_vlm(folder).model
    weights = tiny_model().state_dict()
    pixels = torch.randn(3, 56, 56)
    ids = [RANKS + 1, 5, *IMAGE, 9, 11, 30]
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids]), pixel_values=pixels[None]).logits[0]
    expected = slow_logits(weights, slow_embedded(weights, ids, pixels), len(ids))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_features_of_several_images_are_those_of_each(tmp_path):
    model = tiny_model()
    pixels = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        found = model.get_image_features(pixels, return_dict=True).pooler_output
    for one, image in zip(found, pixels, strict=True):
        torch.testing.assert_close(one, slow_features(model.state_dict(), image), rtol=0, atol=1e-5)


def test_the_fixed_positions_of_the_resampler_are_sines_and_cosines_of_column_and_row():
    """Entry (row 1, column 2) of a 4 x 4 table of width 8: rates 1 and 1/100, column first."""
    expected = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    expected += [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    torch.testing.assert_close(sine_table(16, 8)[1 * 4 + 2], torch.tensor(expected))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("length", [16, 17, 32, 33])
def test_beyond_the_trained_length_evaluation_alone_stretches_positions(length, training):
    """`seq_length` 16: 17 to 32 tokens take alpha 3, 33 tokens 7; in training nothing changes."""
    model = tiny_model(seq_length=16).train(training)
    weights = model.state_dict()
    ids = torch.randint(0, 200, (1, length), generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        found = model(input_ids=ids).logits[0]
    embedded = weights["transformer.wte.weight"][ids[0]]
    expected = slow_logits(weights, embedded, None if training else length, trained=16)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_tokens_behind_a_long_prompt_keep_the_stretch_of_the_prompt():
    """A prompt of 30 tokens of 16: alpha 3 also for tokens 33 to 36, which alone would be read with 7."""
    model = tiny_model(seq_length=16)
    weights = model.state_dict()
    ids = torch.randint(0, 200, (1, 36), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cache = model(input_ids=ids[:, :30], use_cache=True).past_key_values
        found = [model(input_ids=ids[:, n : n + 1], past_key_values=cache, use_cache=True) for n in range(30, 36)]
    expected = slow_logits(weights, weights["transformer.wte.weight"][ids[0]], 30, trained=16)
    torch.testing.assert_close(torch.cat([one.logits[0] for one in found]), expected[30:], rtol=0, atol=2e-5)


def test_a_short_prompt_is_read_alike_beside_a_long_one():
    model = tiny_model(seq_length=16)
    draw = torch.Generator().manual_seed(1)
    short, long = torch.randint(0, 200, (10,), generator=draw), torch.randint(0, 200, (20,), generator=draw)
    ids = torch.stack([torch.cat([torch.zeros(10, dtype=torch.long), short]), long])
    mask = torch.ones_like(ids)
    mask[0, :10] = 0
    settings = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": 0}
    together = model.generate(input_ids=ids, attention_mask=mask, **settings)[:, 20:]
    alone = [model.generate(input_ids=row[None], **settings)[0, len(row) :] for row in (short, long)]
    assert together.tolist() == [row.tolist() for row in alone]


def test_a_cache_that_lost_rows_of_a_long_prompt_is_refused():
    model = tiny_model(seq_length=16)
    cache = model(input_ids=torch.zeros(2, 20, dtype=torch.long), use_cache=True).past_key_values
    cache.batch_select_indices(torch.tensor([1]))
    with pytest.raises(ValueError, match="read in 2 rows, .* continued in 1"):
        model(input_ids=torch.zeros(1, 1, dtype=torch.long), past_key_values=cache)


def test_placeholders_and_features_are_counted():
    model = tiny_model()
    with pytest.raises(ValueError, match="Expected 4 placeholders .* 4 in all, got 3"):
        model(input_ids=torch.tensor([[1, *IMAGE[1:4]]]), pixel_values=torch.zeros(1, 3, 56, 56))
