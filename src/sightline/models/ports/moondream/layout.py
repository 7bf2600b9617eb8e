"""How published folders of moondream2 are loaded: settings, names of weights, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.core_model_loading import Chunk, ConversionOps, WeightConverter, WeightRenaming
from transformers.image_utils import PILImageResampling

from sightline.errors import InputError
from sightline.models.guarded import load_guarded
from sightline.models.ports.moondream.config import (
    CROPS,
    DECODER,
    ONE_VIEW,
    STARMIE_CROPS,
    TILES,
    TOWER,
    MoondreamConfig,
    MoondreamRegionConfig,
)
from sightline.models.ports.moondream.images import CROPPED, ONE, TILED, MoondreamImageProcessor
from sightline.models.ports.moondream.model import MoondreamForConditionalGeneration
from sightline.models.ports.moondream.processor import MoondreamProcessor
from sightline.models.ports.moondream.prompts import END, IMAGE_TOKEN, MARK_OF_IMAGES, TAGGED
from sightline.models.ports.moondream.region import MoondreamRegionForConditionalGeneration
from sightline.models.ports.moondream.releases import STARMIE, TOKENIZER_FILE, find_release, is_of_starmie
from sightline.models.published.folder import Folder, fetched_file, stored_file
from sightline.models.published.layout import Conversion, Parts

_CUTS = {ONE_VIEW: ONE, TILES: TILED, CROPS: CROPPED, STARMIE_CROPS: CROPPED}
_YEARS = {MoondreamConfig: "2024", MoondreamRegionConfig: "2025"}
_END_OF_TEXT = "<|endoftext|>"
_ANSWER = 3  # of starmie-v1: the mark in front of an answer, which the authors never let an answer have
# What the authors' config.json leaves to their code; one that has them (a smaller model's) is believed.
_SIZES = (
    "projector_size", "image_token_id", "overlap", "region_size", "coordinate_features", "size_features", "bins",
)  # fmt: skip


def parts_of_2024() -> Parts:
    """What the generations A and B are loaded by."""
    _register(MoondreamConfig, MoondreamForConditionalGeneration)
    return Parts(
        config=lambda folder: _config(folder, MoondreamConfig),
        model=MoondreamForConditionalGeneration,
        processor=lambda folder, settings: _processor(folder, MoondreamConfig, settings),
        conversions=lambda folder: _conversions(folder, (*_OF_2024, *_OF_2025)),
        generation=lambda folder: _generation(folder, MoondreamConfig),
        ignored=("region_model",),  # another region head, which the authors never put to use
    )


def parts_of_2025() -> Parts:
    """What the generations C and D are loaded by."""
    _register(MoondreamRegionConfig, MoondreamRegionForConditionalGeneration)
    return Parts(
        config=lambda folder: _config(folder, MoondreamRegionConfig),
        model=MoondreamRegionForConditionalGeneration,
        processor=lambda folder, settings: _processor(folder, MoondreamRegionConfig, settings),
        conversions=lambda folder: _conversions(folder, _OF_2025),
        generation=lambda folder: _generation(folder, MoondreamRegionConfig),
        ignored=("kv_cache",),  # which the authors' training scripts leave in their files
    )


def _register(config: type[MoondreamConfig], model: type[MoondreamForConditionalGeneration]) -> None:
    AutoConfig.register(config.model_type, config, exist_ok=True)
    AutoModelForImageTextToText.register(config, model, exist_ok=True)
    AutoModelForCausalLM.register(config, model, exist_ok=True)  # where TRL looks for classes that it does not know
    backends = dict.fromkeys(("pil", "torchvision"), MoondreamImageProcessor)  # Pillow's filters, as the authors'
    AutoImageProcessor.register(config, image_processor_classes=backends, exist_ok=True)
    AutoProcessor.register(config, MoondreamProcessor, exist_ok=True)


def _is_saved(folder: Folder) -> bool:
    """Whether our class wrote the folder, which has its own names and settings."""
    return "generation" in folder.settings


def _config(folder: Folder, kind: type[MoondreamConfig]) -> MoondreamConfig:
    settings = dict(folder.settings)
    if _is_saved(folder):
        return kind.from_dict(settings)
    release = find_release(folder)
    is_of_2025 = release.generation in (CROPS, STARMIE_CROPS)
    if is_of_2025 != (kind is MoondreamRegionConfig):
        raise InputError(
            f"{folder.name}: config.json is that of moondream2 of {_YEARS[kind]}, but the weights are of "
            f"{'2025' if is_of_2025 else '2024'}. Copy all of its files again, from one revision."
        )
    given = {name: settings[name] for name in _SIZES if name in settings}
    tower = {"model_type": "siglip_vision_model", **TOWER, **(settings.get("vision_config") or {})}
    text = {"model_type": "phi", **DECODER, **(settings.get("text_config") or settings.get("phi_config") or {})}
    if release.of_timm:
        tower |= {"hidden_act": "gelu", "layer_norm_eps": 1e-6}
    if is_of_2025:
        given["log_sizes"] = release.log_sizes
    if release.generation == STARMIE_CROPS:
        text |= {"bos_token_id": 0, "eos_token_id": 0}
        given = {"image_token_id": 20, **given}
    config = kind(vision_config=tower, text_config=text, generation=release.generation, **given)
    if "F16" in _kinds(folder):
        config.dtype = torch.bfloat16  # Phi's scores overflow in half precision; the authors' code makes them fp32
    return config


def _kinds(folder: Folder) -> set[str]:
    """The dtypes of a folder's safetensors, as those spell them."""
    kinds = set()
    for path in folder.weight_files():
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                kinds |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return kinds


def _processor(folder: Folder, kind: type[MoondreamConfig], settings: Mapping[str, Any]) -> MoondreamProcessor:
    if _is_saved(folder):
        return load_guarded(MoondreamProcessor, folder.name, {"revision": folder.revision})
    config, release = _config(folder, kind), find_release(folder)
    tower = config.vision_config
    images = MoondreamImageProcessor(
        size={"height": tower.image_size, "width": tower.image_size},
        cut=_CUTS[release.generation],
        overlap=config.overlap * tower.patch_size,
        resample=PILImageResampling.LANCZOS if config.overlap else PILImageResampling.BICUBIC,
    )
    words = _tokenizer(folder, config, settings.get("tokenizer"))
    return MoondreamProcessor(images, words, form=release.form, image_seq_length=config.grid**2)


def _tokenizer(folder: Folder, config: MoondreamConfig, named: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer beside the weights, or of the folder or Hub id that is named.

    Raises:
        InputError: there is none, or that of another generation.
    """
    where = str(named) if named else folder.name
    path = _file(where, TOKENIZER_FILE) if named else folder.file(TOKENIZER_FILE)
    wants_starmie = config.generation == STARMIE_CROPS
    if path is None or is_of_starmie(path) != wants_starmie:
        wanted = (
            f"that of {STARMIE}, whose token 1 is <|md_reserved_0|>; the one beside these weights is left over from "
            "earlier releases"
            if wants_starmie
            else "that of CodeGen, published beside the weights"
        )
        raise InputError(
            f"{folder.name} needs the tokenizer of its release: expected {wanted}, got "
            f"{'none' if path is None else 'another'} at {where}. Name a folder or Hub id that has it by --tokenizer, "
            f"or copy its {TOKENIZER_FILE} into the folder."
        )
    token = MARK_OF_IMAGES if wants_starmie else IMAGE_TOKEN
    words = PreTrainedTokenizerFast(
        tokenizer_file=str(path),
        name_or_path=folder.name,
        extra_special_tokens={"image_token": token},
        **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), _END_OF_TEXT),
    )
    found = {token: config.image_token_id, _END_OF_TEXT: config.text_config.bos_token_id}
    for word, number in found.items():
        if words.convert_tokens_to_ids(word) != number:
            raise InputError(
                f"{where}: expected the token {word} to be number {number} of its {TOKENIZER_FILE}, got "
                f"{words.convert_tokens_to_ids(word)}. It is no tokenizer of moondream2: copy that of the same "
                "revision."
            )
    return words


def _file(where: str, name: str) -> Path | None:
    return stored_file(where, name) or fetched_file(where, name)


def _generation(folder: Folder, kind: type[MoondreamConfig]) -> GenerationConfig:
    """Greedy, as the authors of 2024 answer; those of 2025 draw at temperature 0.5 from the likeliest 0.3."""
    config = _config(folder, kind)
    stop = config.text_config.eos_token_id
    of_2024 = config.generation in (ONE_VIEW, TILES)
    ends_in_words = not _is_saved(folder) and find_release(folder).form == TAGGED  # what is saved has it in its file
    return GenerationConfig(
        bos_token_id=stop,
        eos_token_id=stop,
        pad_token_id=stop,
        do_sample=False,
        max_new_tokens=256 if of_2024 else 768,
        **({"stop_strings": [END]} if ends_in_words else {}),
        **({"suppress_tokens": [_ANSWER]} if config.generation == STARMIE_CROPS else {}),
    )


class _AsHere(ConversionOps):
    """A stored tensor in the shape of the class's: patches as a convolution, positions without a batch."""

    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str],
        target_patterns: list[str],
        full_layer_name: str = "",
        model: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        (found,) = input_dict.values()
        tensor: Tensor = found[0] if isinstance(found, list) else found
        wanted = model.get_parameter(full_layer_name).shape
        return {target_patterns[0]: tensor.reshape(wanted) if tensor.numel() == wanted.numel() else tensor}


# Old names to new ones, new ones to those of transformers' classes, each in turn.
_OF_2024 = (
    (r"\._orig_mod", ""),
    (r"^vision_encoder\.encoder\.model\.visual\.patch_embed\.linear\.", "vision.patch_emb."),
    (r"^vision_encoder\.encoder\.model\.visual\.pos_embed", "vision.pos_emb"),
    (r"^vision_encoder\.encoder\.model\.visual\.norm\.", "vision.post_ln."),
    (r"^vision_encoder\.encoder\.model\.visual\.", "vision."),
    (r"^vision_encoder\.projection\.mlp\.", "vision.proj_mlp."),
    (r"\.norm1\.", ".ln1."),
    (r"\.norm2\.", ".ln2."),
    (r"^text_model\.transformer\.embd\.wte\.weight", "text.wte"),
    (r"^text_model\.transformer\.h\.", "text.blocks."),
    (r"\.mixer\.Wqkv\.", ".attn.qkv."),
    (r"\.mixer\.out_proj\.", ".attn.proj."),
    (r"^text_model\.lm_head\.ln\.", "text.post_ln."),
    (r"^text_model\.lm_head\.linear\.", "text.lm_head."),
)
_OF_2025 = (
    (r"^model\.(?=vision\.|text\.|region\.)", ""),
    (r"^vision\.patch_emb\.", "model.vision_tower.embeddings.patch_embedding."),
    (r"^vision\.pos_emb", "model.vision_tower.embeddings.position_embedding.weight"),
    (r"^vision\.post_ln\.", "model.vision_tower.post_layernorm."),
    (r"^vision\.proj_mlp\.fc1\.", "model.multi_modal_projector.linear_1."),
    (r"^vision\.proj_mlp\.fc2\.", "model.multi_modal_projector.linear_2."),
    (r"^vision\.blocks\.", "model.vision_tower.encoder.layers."),
    (r"\.ln1\.", ".layer_norm1."),
    (r"\.ln2\.", ".layer_norm2."),
    (r"(vision_tower\.encoder\.layers\.\d+)\.attn\.proj\.", r"\1.self_attn.out_proj."),
    (r"^text\.wte", "model.language_model.embed_tokens.weight"),
    (r"^text\.post_ln\.", "model.language_model.final_layernorm."),
    (r"^text\.lm_head\.", "lm_head."),
    (r"^text\.blocks\.", "model.language_model.layers."),
    (r"\.ln\.", ".input_layernorm."),
    (r"(language_model\.layers\.\d+)\.attn\.proj\.", r"\1.self_attn.dense."),
)
_QKV = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]


def _conversions(folder: Folder, names: Sequence[tuple[str, str]]) -> Sequence[Conversion]:
    if _is_saved(folder):
        return []
    return [
        *(WeightRenaming(source_patterns=old, target_patterns=new) for old, new in names),
        WeightConverter("attn.qkv", _QKV, operations=[Chunk(dim=0)]),
        WeightConverter("patch_embedding.weight", "patch_embedding.weight", operations=[_AsHere()]),
        WeightConverter("position_embedding.weight", "position_embedding.weight", operations=[_AsHere()]),
    ]
