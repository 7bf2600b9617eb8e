"""LLaVA 1.5 and 1.6 as their authors publish them, loaded as transformers' classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import (
    AddedToken,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessor,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaProcessor,
    MistralConfig,
    ProcessorMixin,
)
from transformers.core_model_loading import WeightRenaming

from sightline.errors import InputError
from sightline.models.published.chat_templates import CHATML, MISTRAL, VICUNA, turns_template
from sightline.models.published.clip_tower import TowerBeside, config_beside, stored_tower, tower_beside
from sightline.models.published.folder import Folder
from sightline.models.published.layout import Conversion, Parts
from sightline.models.published.row_padding import padded_rows, padding_of
from sightline.models.published.table import cuts_tiles
from sightline.models.published.tokenizer_files import read_tokenizer

IMAGE = "<image>"
TEXT_CONFIGS = {"LlavaLlamaForCausalLM": LlamaConfig, "LlavaMistralForCausalLM": MistralConfig}
# What conversations begin with (haotian-liu/LLaVA:llava/conversation.py).
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)
CHATML_SYSTEM = "Answer the questions."


def read_config(folder: Folder) -> LlavaConfig | LlavaNextConfig:
    """The config of transformers' class.

    Raises:
        InputError: a language model, projector or tower of another kind, or a tower that is not here.
    """
    settings = folder.settings
    _require_known(folder)
    text = text_config(settings)
    image_id = _tokenizer(folder, {}).convert_tokens_to_ids(IMAGE)
    text.vocab_size = padded_rows(text.vocab_size, image_id)
    shared: dict[str, Any] = {
        "text_config": text,
        "vision_config": _vision_config(folder),
        "image_token_index": image_id,
        "vision_feature_layer": settings.get("mm_vision_select_layer", -2),
        "vision_feature_select_strategy": "default",
        "dtype": settings.get("torch_dtype"),
    }
    if cuts_tiles(settings):
        return LlavaNextConfig(
            **shared,
            image_grid_pinpoints=settings["image_grid_pinpoints"],
            architectures=[LlavaNextForConditionalGeneration.__name__],
        )
    return LlavaConfig(**shared, architectures=[LlavaForConditionalGeneration.__name__])


def read_processor(folder: Folder, settings: Mapping[str, Any]) -> ProcessorMixin:
    """The processor with the authors' prompt; without tiles, pictures are padded to squares as they are trained."""
    tower = _vision_config(folder)
    tokenizer = _tokenizer(folder, settings)
    size = tower.image_size
    sides = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    shared: dict[str, Any] = {
        "tokenizer": tokenizer,
        "patch_size": tower.patch_size,
        "vision_feature_select_strategy": "default",
        "image_token": IMAGE,
        "num_additional_image_tokens": 1,
        "chat_template": _chat_template(folder, tokenizer),
    }
    if cuts_tiles(folder.settings):
        images = LlavaNextImageProcessor(**sides, image_grid_pinpoints=folder.settings["image_grid_pinpoints"])
        return LlavaNextProcessor(image_processor=images, **shared)
    pads = folder.settings.get("image_aspect_ratio") == "pad"
    return LlavaProcessor(image_processor=LlavaImageProcessor(**sides, do_pad=pads), **shared)


def conversions(folder: Folder) -> Sequence[Conversion]:
    """From the authors' names to those of transformers 5.23."""
    return [
        WeightRenaming(source_patterns=r"^model\.vision_tower\.vision_tower\.vision_model\.", target_patterns=_TOWER),
        WeightRenaming(source_patterns=r"^model\.mm_projector\.0\.", target_patterns=f"{_PROJECTOR}linear_1."),
        WeightRenaming(source_patterns=r"^model\.mm_projector\.2\.", target_patterns=f"{_PROJECTOR}linear_2."),
        WeightRenaming(source_patterns=r"^model\.layers\.", target_patterns="model.language_model.layers."),
        WeightRenaming(source_patterns=r"^model\.norm\.", target_patterns="model.language_model.norm."),
        padding_of(r"^model\.embed_tokens\.weight", "model.language_model.embed_tokens.weight"),
        padding_of(r"^lm_head\.weight", "lm_head.weight"),
    ]


def read_generation(folder: Folder) -> GenerationConfig:
    """As the authors ask it, to the end of the answer (haotian-liu/LLaVA:llava/serve/cli.py)."""
    tokenizer = _tokenizer(folder, {})
    stops = [tokenizer.eos_token_id, *([_turn_end(tokenizer)] if _is_chatml(tokenizer) else [])]
    return GenerationConfig(
        eos_token_id=list(dict.fromkeys(stops)),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.2,
        max_new_tokens=512,
    )


def beside(folder: Folder) -> TowerBeside | None:
    """Where the tower's weights lie, for a checkpoint without them, as those of 1.5 are."""
    return None if stored_tower(folder) is not None else tower_beside(folder, folder.settings["mm_vision_tower"])


_TOWER, _PROJECTOR = "model.vision_tower.", "model.multi_modal_projector."


def _require_known(folder: Folder) -> None:
    settings = folder.settings
    wanted = {
        "architectures": (str((settings.get("architectures") or [""])[0]), tuple(TEXT_CONFIGS)),
        "mm_projector_type": (settings.get("mm_projector_type"), ("mlp2x_gelu",)),
        "mm_vision_select_feature": (settings.get("mm_vision_select_feature", "patch"), ("patch",)),
        "mm_patch_merge_type": (
            settings.get("mm_patch_merge_type", "flat"),
            ("spatial_unpad",) if cuts_tiles(settings) else ("flat",),
        ),
        "mm_use_im_start_end": (settings.get("mm_use_im_start_end", False), (False,)),
    }
    for setting, (found, known) in wanted.items():
        if found not in known:
            raise InputError(
                f"{folder.name}: config.json has {setting} {found!r}; LLaVA 1.5 and 1.6 of the authors are known with "
                f"{' or '.join(map(repr, known))}. Use a converted checkpoint (its name ends in -hf)."
            )


def text_config(settings: Mapping[str, Any]) -> LlamaConfig | MistralConfig:
    """The decoder's part of a config that names a tower and a projector beside it."""
    kind = TEXT_CONFIGS[settings["architectures"][0]]
    own = {name: value for name, value in settings.items() if not name.startswith(("mm_", "image_", "tune_"))}
    for name in ("architectures", "model_type", "auto_map", "_name_or_path", "torch_dtype", "transformers_version"):
        own.pop(name, None)
    return kind(**own)


def _vision_config(folder: Folder) -> CLIPVisionConfig:
    return stored_tower(folder) or config_beside(tower_beside(folder, folder.settings["mm_vision_tower"]))


def _tokenizer(folder: Folder, settings: Mapping[str, Any]) -> Any:
    return tokenizer_with(IMAGE, folder, settings)


def tokenizer_with(image: str, folder: Folder, settings: Mapping[str, Any]) -> Any:
    """The folder's tokenizer with a token for a picture, the next free one where it has none."""
    tokenizer = read_tokenizer(folder, settings)
    if tokenizer.convert_tokens_to_ids(image) in (None, tokenizer.unk_token_id):
        tokenizer.add_tokens([AddedToken(image, special=True, normalized=False)])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def _is_chatml(tokenizer: Any) -> bool:
    return _turn_end(tokenizer) not in (None, tokenizer.unk_token_id)


def _turn_end(tokenizer: Any) -> int | None:
    number: int | None = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return number


def _chat_template(folder: Folder, tokenizer: Any) -> str:
    if folder.settings["architectures"][0] == "LlavaMistralForCausalLM":
        return turns_template(MISTRAL, IMAGE, end=f" {tokenizer.eos_token}")
    if _is_chatml(tokenizer):
        return turns_template(CHATML, IMAGE, CHATML_SYSTEM, "<|im_end|>")
    return turns_template(VICUNA, IMAGE, VICUNA_SYSTEM, tokenizer.eos_token)


_SHARED: dict[str, Any] = {
    "config": read_config,
    "processor": read_processor,
    "conversions": conversions,
    "generation": read_generation,
    "beside": beside,
}
WHOLE_PICTURES = Parts(model=LlavaForConditionalGeneration, **_SHARED)
TILES = Parts(model=LlavaNextForConditionalGeneration, **_SHARED)
