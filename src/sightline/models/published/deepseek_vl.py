"""DeepSeek-VL as its authors publish it, loaded as transformers' classes: one tower (1.3B) or two (7B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
    DeepseekVLHybridImageProcessor,
    DeepseekVLHybridProcessor,
    DeepseekVLImageProcessor,
    DeepseekVLProcessor,
    GenerationConfig,
    LlamaConfig,
    ProcessorMixin,
    SamVisionConfig,
    SiglipVisionConfig,
)
from transformers.core_model_loading import Chunk, ConversionOps, WeightConverter, WeightRenaming
from transformers.image_utils import (
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    PILImageResampling,
)

from sightline.data.encoding.plain_template import plain_template
from sightline.errors import InputError
from sightline.models.published.chat_templates import DEEPSEEK, turns_template
from sightline.models.published.folder import Folder
from sightline.models.published.layout import Conversion, Parts
from sightline.models.published.table import has_two_towers
from sightline.models.published.tokenizer_files import read_tokenizer

IMAGE = "<image_placeholder>"
SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
HEAD = 64  # channels of a head in SigLIP-L
LOW, HIGH = "vision_model.vision_tower_low.vision_tower.", "vision_model.vision_tower_high.vision_tower."
ALONE = "vision_model.vision_tower."  # the one tower of the small model
_SIGLIP, _SAM = "model.vision_model.", "model.high_res_vision_model.vision_encoder."


class DropFirst(ConversionOps):
    """A table of positions (1, L, H) without its first dimension."""

    @torch.no_grad()
    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **others: Any
    ) -> dict[str, Tensor]:
        stored = next(iter(input_dict.values()))
        return {target_patterns[0]: (stored[0] if isinstance(stored, list) else stored).squeeze(0)}


def read_config(folder: Folder) -> DeepseekVLConfig | DeepseekVLHybridConfig:
    """The config of transformers' class; sizes of towers are read off their weights, as config.json only names them.

    Raises:
        InputError: a tower is not stored.
    """
    two = has_two_towers(folder.settings)
    shapes = folder.shapes()
    language = dict(folder.settings.get("language_config") or {})
    for name in ("model_type", "torch_dtype", "dtype", "cls"):
        language.pop(name, None)
    shared: dict[str, Any] = {
        "text_config": LlamaConfig(**language),
        "vision_config": _siglip(folder, shapes, LOW if two else ALONE),
        "image_token_id": _tokenizer(folder, {}).convert_tokens_to_ids(IMAGE),
        "tie_word_embeddings": False,  # both tables are stored
        "dtype": folder.settings.get("torch_dtype"),
    }
    if not two:
        return DeepseekVLConfig(**shared, architectures=[DeepseekVLForConditionalGeneration.__name__])
    return DeepseekVLHybridConfig(
        **shared,
        high_res_vision_config=_sam(folder, shapes),
        architectures=[DeepseekVLHybridForConditionalGeneration.__name__],
    )


def read_processor(folder: Folder, settings: Mapping[str, Any]) -> ProcessorMixin:
    """The processor with the authors' prompt; a base model (its name says so) reads plain texts."""
    config = read_config(folder)
    tokenizer = _tokenizer(folder, settings)
    side = config.vision_config.image_size
    params = folder.settings["vision_config"].get("params", {})
    stored = folder.read_settings("preprocessor_config.json")
    shared: dict[str, Any] = {
        "tokenizer": tokenizer,
        "num_image_tokens": (side // config.vision_config.patch_size) ** 2,
    }
    size = {"size": {"height": side, "width": side}, "min_size": stored.get("min_size", 14)}
    if not has_two_towers(folder.settings):
        mean, std = stored.get("image_mean", OPENAI_CLIP_MEAN), stored.get("image_std", OPENAI_CLIP_STD)
        alone = DeepseekVLImageProcessor(**size, image_mean=mean, image_std=std)
        return _asked(folder, DeepseekVLProcessor(image_processor=alone, **shared))
    low, high = params.get("low_res_cfg", {}), params.get("high_res_cfg", {})
    sharp = config.high_res_vision_config.image_size
    images = DeepseekVLHybridImageProcessor(
        **size,
        image_mean=low.get("pixel_mean", IMAGENET_STANDARD_MEAN),
        image_std=low.get("pixel_std", IMAGENET_STANDARD_STD),
        resample=PILImageResampling.BILINEAR,  # of the padded picture (the authors' CLIP encoder interpolates it so)
        high_res_size={"height": sharp, "width": sharp},
        high_res_image_mean=high.get("pixel_mean", OPENAI_CLIP_MEAN),
        high_res_image_std=high.get("pixel_std", OPENAI_CLIP_STD),
    )
    return _asked(folder, DeepseekVLHybridProcessor(image_processor=images, **shared))


def _asked(folder: Folder, processor: Any) -> Any:
    """The processor with the form of a prompt: the authors', or for a base model pictures and words alone."""
    end = processor.tokenizer.eos_token
    form = turns_template(DEEPSEEK, IMAGE, SYSTEM, end, gap="")
    processor.chat_template = plain_template(processor) if is_base(folder) else form
    return processor


def is_base(folder: Folder) -> bool:
    """Whether a checkpoint is one of those without a conversation's form, which its name alone tells."""
    return "-base" in folder.name.rstrip("/").rpartition("/")[2]


def conversions(folder: Folder) -> Sequence[Conversion]:
    """From the authors' names to those of transformers 5.23."""
    two = has_two_towers(folder.settings)
    shared = [
        WeightRenaming(source_patterns=r"^language_model\.model\.", target_patterns="model.language_model."),
        WeightRenaming(source_patterns=r"^language_model\.lm_head\.", target_patterns="lm_head."),
    ]
    names = (
        {"low_up_proj": "vision_proj", "high_up_proj": "high_res_vision_proj", "layers.1": "proj"}
        if two
        else {"layers.0": "linear1", "layers.2": "linear2"}
    )
    aligner = [
        WeightRenaming(source_patterns=f"^{_literal('aligner.' + old)}", target_patterns=f"model.aligner.{new}")
        for old, new in names.items()
    ]
    towers = [*_siglip_names(LOW), *_sam_names()] if two else _siglip_names(ALONE)
    return [*shared, *aligner, *towers]


def read_generation(folder: Folder) -> GenerationConfig:
    """Greedy, to the end of the answer (deepseek-ai/DeepSeek-VL:inference.py)."""
    tokenizer = _tokenizer(folder, {})
    return GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False, max_new_tokens=512
    )


def _literal(name: str) -> str:
    return name.replace(".", r"\.")


def _siglip_names(tower: str) -> list[Conversion]:
    """From timm's names to SigLIP's; queries, keys and values lie in one matrix there."""
    old, block = _literal(tower), rf"{_literal(tower)}blocks\.(\d+)\."
    layer = rf"{_SIGLIP}encoder.layers.\1."
    plain = {
        rf"^{old}patch_embed\.proj\.": f"{_SIGLIP}embeddings.patch_embedding.",
        rf"^{old}norm\.": f"{_SIGLIP}post_layernorm.",
    }
    repeated = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj", "mlp.": "mlp."}
    return [
        *(WeightRenaming(source_patterns=theirs, target_patterns=own) for theirs, own in plain.items()),
        *(
            WeightRenaming(source_patterns=f"^{block}{_literal(theirs)}", target_patterns=f"{layer}{own}")
            for theirs, own in repeated.items()
        ),
        WeightConverter(
            source_patterns=rf"^{old}pos_embed",
            target_patterns=f"{_SIGLIP}embeddings.position_embedding.weight",
            operations=[DropFirst()],
        ),
        WeightRenaming(source_patterns=rf"^{block}attn\.qkv\.", target_patterns=f"{layer}self_attn.qkv."),
        WeightConverter(
            source_patterns="self_attn.qkv.",
            target_patterns=["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."],
            operations=[Chunk(dim=0)],
        ),
    ]


def _sam_names() -> list[Conversion]:
    old, block = _literal(HIGH), rf"{_literal(HIGH)}blocks\.(\d+)\."
    layer = rf"{_SAM}layers.\1."
    plain = {
        rf"^{old}pos_embed": f"{_SAM}pos_embed",
        rf"^{old}patch_embed\.proj\.": f"{_SAM}patch_embed.projection.",
        rf"^{old}hd_alpha_downsamples": "model.high_res_vision_alpha",
        rf"^{old}downsamples\.0\.": "model.high_res_vision_proj.conv1.",
        rf"^{old}downsamples\.1\.": "model.high_res_vision_proj.conv2.",
        rf"^{block}norm1": f"{layer}layer_norm1",
        rf"^{block}norm2": f"{layer}layer_norm2",
        rf"^{block}": layer,
    }
    necks = {
        rf"^{old}{neck}\.{number}\.": f"{own}{part}."
        for neck, own in (("neck", f"{_SAM}neck."), ("neck_hd", "model.high_res_vision_neck."))
        for number, part in enumerate(("conv1", "layer_norm1", "conv2", "layer_norm2"))
    }
    return [WeightRenaming(source_patterns=theirs, target_patterns=own) for theirs, own in {**plain, **necks}.items()]


def _siglip(folder: Folder, shapes: Mapping[str, tuple[int, ...]], tower: str) -> SiglipVisionConfig:
    try:
        hidden, _, patch, _ = shapes[f"{tower}patch_embed.proj.weight"]
        _, positions, _ = shapes[f"{tower}pos_embed"]
        inner, _ = shapes[f"{tower}blocks.0.mlp.fc1.weight"]
    except KeyError as error:
        raise _not_stored(folder, error) from error
    return SiglipVisionConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=_layers(shapes, tower),
        num_attention_heads=max(1, hidden // HEAD),
        patch_size=patch,
        image_size=round(positions**0.5) * patch,
        hidden_act="gelu",
        vision_use_head=False,
    )


def _sam(folder: Folder, shapes: Mapping[str, tuple[int, ...]]) -> SamVisionConfig:
    try:
        hidden, _, patch, _ = shapes[f"{HIGH}patch_embed.proj.weight"]
        _, grid, _, _ = shapes[f"{HIGH}pos_embed"]
        inner, _ = shapes[f"{HIGH}blocks.0.mlp.lin1.weight"]
        channels = shapes[f"{HIGH}neck.0.weight"][0]
        layers = _layers(shapes, HIGH)
        reach = {layer: shapes[f"{HIGH}blocks.{layer}.attn.rel_pos_h"] for layer in range(layers)}
    except KeyError as error:
        raise _not_stored(folder, error) from error
    windows = {(rows + 1) // 2 for rows, _ in reach.values()} - {grid}
    return SamVisionConfig(
        hidden_size=hidden,
        mlp_dim=inner,
        output_channels=channels,
        num_hidden_layers=layers,
        num_attention_heads=hidden // reach[0][1],
        patch_size=patch,
        image_size=grid * patch,
        window_size=min(windows, default=grid),
        global_attn_indexes=[layer for layer, (rows, _) in reach.items() if (rows + 1) // 2 == grid],
    )


def _layers(shapes: Mapping[str, tuple[int, ...]], tower: str) -> int:
    blocks = f"{tower}blocks."
    return len({name.removeprefix(blocks).split(".")[0] for name in shapes if name.startswith(blocks)})


def _not_stored(folder: Folder, error: KeyError) -> InputError:
    return InputError(f"{folder.name}: expected weights of DeepSeek-VL's towers, but {error} is not stored. {_MEND}")


_MEND = "Copy the folder again."


def _tokenizer(folder: Folder, settings: Mapping[str, Any]) -> Any:
    tokenizer = read_tokenizer(folder, settings, {"extra_special_tokens": {"image_token": IMAGE}})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


_SHARED: dict[str, Any] = {
    "config": read_config,
    "processor": read_processor,
    "conversions": conversions,
    "generation": read_generation,
    "ignored": ("attn_pool.",),  # the tower's pooling, whose output nothing reads
}
ONE_TOWER = Parts(model=DeepseekVLForConditionalGeneration, **_SHARED)
TWO_TOWERS = Parts(model=DeepseekVLHybridForConditionalGeneration, **_SHARED)
