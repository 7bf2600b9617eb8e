"""Small folders of moondream2 in the layouts of its authors: names, shapes and files as published, random weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

Shapes = dict[str, tuple[int, ...]]


def sizes(**changed: int) -> dict[str, int]:
    """Those of the published weights, or smaller ones."""
    published = {
        "vision": 1152, "vision_inner": 4304, "vision_layers": 27, "patches": 729, "patch": 588, "projector": 8192,
        "text": 2048, "text_inner": 8192, "text_layers": 24, "vocabulary": 51200, "region": 8192, "place": 256,
        "size": 512, "bins": 1024,
    }  # fmt: skip
    return {**published, **changed}


def shapes_of_2025(n: dict[str, int], prefix: str = "model.") -> Shapes:
    """Every tensor of the generations C and D by its name."""
    shapes: Shapes = {}

    def linear(name: str, wide: int, high: int) -> None:
        shapes.update({f"{prefix}{name}.weight": (high, wide), f"{prefix}{name}.bias": (high,)})

    def norm(name: str, width: int) -> None:
        shapes.update({f"{prefix}{name}.weight": (width,), f"{prefix}{name}.bias": (width,)})

    linear("vision.patch_emb", n["patch"], n["vision"])
    shapes[f"{prefix}vision.pos_emb"] = (1, n["patches"], n["vision"])
    for layer in range(n["vision_layers"]):
        block = f"vision.blocks.{layer}"
        norm(f"{block}.ln1", n["vision"])
        norm(f"{block}.ln2", n["vision"])
        linear(f"{block}.attn.qkv", n["vision"], 3 * n["vision"])
        linear(f"{block}.attn.proj", n["vision"], n["vision"])
        linear(f"{block}.mlp.fc1", n["vision"], n["vision_inner"])
        linear(f"{block}.mlp.fc2", n["vision_inner"], n["vision"])
    norm("vision.post_ln", n["vision"])
    linear("vision.proj_mlp.fc1", 2 * n["vision"], n["projector"])
    linear("vision.proj_mlp.fc2", n["projector"], n["text"])
    shapes[f"{prefix}text.wte"] = (n["vocabulary"], n["text"])
    for layer in range(n["text_layers"]):
        block = f"text.blocks.{layer}"
        norm(f"{block}.ln", n["text"])
        linear(f"{block}.attn.qkv", n["text"], 3 * n["text"])
        linear(f"{block}.attn.proj", n["text"], n["text"])
        linear(f"{block}.mlp.fc1", n["text"], n["text_inner"])
        linear(f"{block}.mlp.fc2", n["text_inner"], n["text"])
    norm("text.post_ln", n["text"])
    linear("text.lm_head", n["text"], n["vocabulary"])
    linear("region.coord_encoder", n["place"], n["text"])
    linear("region.coord_decoder.fc1", n["text"], n["region"])
    linear("region.coord_decoder.fc2", n["region"], n["bins"])
    linear("region.size_encoder", n["size"], n["text"])
    linear("region.size_decoder.fc1", n["text"], n["region"])
    linear("region.size_decoder.fc2", n["region"], 2 * n["bins"])
    shapes[f"{prefix}region.coord_features"] = (1, n["place"] // 2)
    shapes[f"{prefix}region.size_features"] = (2, n["size"] // 2)
    return shapes


def shapes_of_2024(n: dict[str, int], tiles: bool) -> Shapes:
    """Every tensor of the generation A or, with `tiles`, B by its name."""
    shapes = {}
    for name, shape in shapes_of_2025(n, prefix="").items():
        if not name.startswith("region."):
            wide = shape if tiles or name != "vision.proj_mlp.fc1.weight" else (shape[0], shape[1] // 2)
            shapes[old_name(name)] = wide
    return shapes


def old_name(name: str) -> str:
    """The name of 2024 for one of 2025 without prefix."""
    visual = "vision_encoder.encoder.model.visual."
    for new, old in (
        ("vision.patch_emb.", visual + "patch_embed.linear."),
        ("vision.pos_emb", visual + "pos_embed"),
        ("vision.post_ln.", visual + "norm."),
        ("vision.proj_mlp.", "vision_encoder.projection.mlp."),
        ("vision.blocks.", visual + "blocks."),
        (".ln1.", ".norm1."),
        (".ln2.", ".norm2."),
        ("text.wte", "text_model.transformer.embd.wte.weight"),
        ("text.post_ln.", "text_model.lm_head.ln."),
        ("text.lm_head.", "text_model.lm_head.linear."),
    ):
        name = name.replace(new, old)
    if name.startswith("text.blocks."):
        name = name.replace("text.blocks.", "text_model.transformer.h.")
        name = name.replace(".attn.qkv.", ".mixer.Wqkv.").replace(".attn.proj.", ".mixer.out_proj.")
    return name


# A picture of 32 pixels in patches of 8 makes 16 features; two heads of 8 in the decoder, of 12 in the tower.
SMALL = sizes(
    vision=24, vision_inner=40, vision_layers=2, patches=16, patch=192, projector=48, text=32, text_inner=64,
    text_layers=2, vocabulary=332, region=40, place=16, size=24, bins=32,
)  # fmt: skip
TOWER = {
    "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
TEXT = {
    "vocab_size": 332, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 512,
}  # fmt: skip
OTHERS = {
    "projector_size": 48, "overlap": 1, "region_size": 40, "coordinate_features": 16, "size_features": 24, "bins": 32,
}  # fmt: skip
WORDS = "what is this ? a large red green blue circle square one two three \n\nQuestion: yes\n\nAnswer: no"
END_OF_TEXT = "<|endoftext|>"


def tokenizer(starmie: bool = False) -> Tokenizer:
    """Pieces of bytes; the end of a text is the last token, or with `starmie` the first, before the marks."""
    marks = [END_OF_TEXT, *(f"<|md_reserved_{number}|>" for number in range(20))] if starmie else []
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        [WORDS] * 3,
        trainers.BpeTrainer(
            vocab_size=330,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=marks,
            show_progress=False,
        ),
    )
    raw.add_special_tokens([END_OF_TEXT])
    return raw


_NORM = re.compile(r"(ln|ln1|ln2|norm|norm1|norm2|post_ln)\.weight$")


def weights(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Numbers at random, near 1 for norms, large enough that errors show."""
    torch.manual_seed(seed)
    return {
        name: torch.randn(shape) * (0.3 if len(shape) > 1 else 0.1) + float(_NORM.search(name) is not None)
        for name, shape in shapes.items()
    }


def write_folder(
    folder: Path,
    generation: str,
    code: dict[str, str] | None = None,
    shards: str = "safetensors",
    changed: dict[str, int] | None = None,
    seed: int = 0,
) -> Path:
    """A folder of a generation (A to D) with what its config.json, tokenizer and weights hold; `code` are the texts of
    the authors' files beside them."""
    n = {**SMALL, **(changed or {})}
    of_2025 = generation in "CD"
    shapes = shapes_of_2025(n) if of_2025 else shapes_of_2024(n, tiles=generation == "B")
    words = tokenizer(starmie=generation == "D")
    last = words.get_vocab_size()
    text = {**TEXT, "vocab_size": n["vocabulary"], "bos_token_id": last - 1, "eos_token_id": last - 1}
    own = {"text_config": text, "vision_config": TOWER, "image_token_id": 20 if generation == "D" else last}
    for name in OTHERS if of_2025 else ("projector_size",):
        own[name] = OTHERS[name]
    published = {"architectures": ["HfMoondream"], "config": {}} if of_2025 else {"architectures": ["Moondream"]}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "moondream1", **published, **own}))
    words.save(str(folder / "tokenizer.json"))
    named = {"A": {}, "B": {}, "C": {"moondream.py": OF_C}, "D": {"moondream.py": OF_D}}[generation]
    for name, said in (named if code is None else code).items():
        (folder / name).write_text(said)
    save_shards(weights(shapes, seed), folder, shards)
    return folder


OF_C = 'Tokenizer.from_pretrained("vikhyatk/moondream2", revision="2025-01-09")\nw = torch.pow(2.0, (w_bin / 1023.0))'
OF_D = 'Tokenizer.from_pretrained("moondream/starmie-v1")\nw = torch.pow(2.0, (w_bin / 1023.0))'


def save_shards(tensors: dict[str, torch.Tensor], folder: Path, kind: str) -> None:
    """One file of safetensors, or two shards of pickles (`bin`) with their index."""
    if kind == "safetensors":
        save_file(tensors, folder / "model.safetensors")
        return
    names = sorted(tensors)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    index = {}
    for number, half in enumerate(halves, start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: tensors[name] for name in half}, folder / file)
        index.update(dict.fromkeys(half, file))
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
