"""Yi-VL as its authors publish it: the old LLaVA layout, a tower in a folder of its own, "### Human:" prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlavaImageProcessor,
    LlavaProcessor,
    ProcessorMixin,
)
from transformers.core_model_loading import WeightRenaming
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from sightline.errors import InputError
from sightline.models.guarded import load_guarded
from sightline.models.ports.yi_vl import YiVLConfig, YiVLForConditionalGeneration
from sightline.models.published import llava
from sightline.models.published.chat_templates import HUMAN, turns_template
from sightline.models.published.clip_tower import TowerBeside, config_beside, stored_tower, tower_beside
from sightline.models.published.folder import Folder
from sightline.models.published.layout import Conversion, Parts
from sightline.models.published.row_padding import padded_rows

IMAGE, TURN = "<image_placeholder>", "###"
SYSTEM = (
    "This is a chat between an inquisitive human and an AI assistant. Assume the role of the AI assistant. Read all "
    "the images carefully, and respond to the human's questions with informative, helpful, detailed and polite "
    "answers. 这是一个好奇的人类和一个人工智能助手之间的对话。假设你扮演这个AI助手的角色。仔细阅读所有的图像，"
    "并对人类的问题做出信息丰富、有帮助、详细的和礼貌的回答。"
)


def is_own(folder: Folder) -> bool:
    """Whether our class saved it, rather than the authors."""
    return folder.settings.get("model_type") == YiVLConfig.model_type


def read_config(folder: Folder) -> YiVLConfig:
    """The config of our class."""
    if is_own(folder):
        own: YiVLConfig = load_guarded(YiVLConfig, folder.name, {"revision": folder.revision})
        return own
    settings = folder.settings
    if settings.get("mm_projector_type") != "mlp2x_gelu_Norm":
        raise InputError(
            f"{folder.name}: config.json has mm_projector_type {settings.get('mm_projector_type')!r}; Yi-VL has "
            "'mlp2x_gelu_Norm'. Name a folder of Yi-VL, or a converted checkpoint (its name ends in -hf)."
        )
    image_id = _tokenizer(folder, {}).convert_tokens_to_ids(IMAGE)
    text = llava.text_config(settings)
    text.vocab_size = padded_rows(text.vocab_size, image_id)
    return YiVLConfig(
        text_config=text,
        vision_config=_vision_config(folder),
        image_token_index=image_id,
        vision_feature_layer=settings.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="default",
        architectures=[YiVLForConditionalGeneration.__name__],
        dtype=settings.get("torch_dtype"),
    )


def read_processor(folder: Folder, settings: Mapping[str, Any]) -> ProcessorMixin:
    """Pictures padded to squares in the mean colour, and the authors' prompt."""
    if is_own(folder):
        own: ProcessorMixin = load_guarded(LlavaProcessor, folder.name, {"revision": folder.revision})
        return own
    tower = _vision_config(folder)
    named = folder.settings.get("mm_vision_tower", "")
    stored = folder.read_settings(str(Path(named, "preprocessor_config.json")))
    side = tower.image_size
    images = LlavaImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        do_pad=True,
        image_mean=stored.get("image_mean", OPENAI_CLIP_MEAN),
        image_std=stored.get("image_std", OPENAI_CLIP_STD),
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=_tokenizer(folder, settings),
        patch_size=tower.patch_size,
        vision_feature_select_strategy="default",
        image_token=IMAGE,
        num_additional_image_tokens=1,
        chat_template=turns_template(HUMAN, IMAGE, SYSTEM, TURN),
    )


def conversions(folder: Folder) -> Sequence[Conversion]:
    """From the authors' names to ours."""
    if is_own(folder):
        return []
    linear = [name for name in llava.conversions(folder) if "mm_projector" not in str(name.source_patterns)]
    projector = {"0": "linear_1", "1": "norm_1", "3": "linear_2", "4": "norm_2"}
    return [
        *linear,
        *(
            WeightRenaming(
                source_patterns=rf"^model\.mm_projector\.{number}\.",
                target_patterns=f"model.multi_modal_projector.{name}.",
            )
            for number, name in projector.items()
        ),
    ]


def read_generation(folder: Folder) -> GenerationConfig:
    """As the authors ask it (01-ai/Yi:VL/single_inference.py), to the end of the text or to the mark of the next turn,
    where that is one token."""
    tokenizer = _tokenizer(folder, {})
    mark = tokenizer.encode(TURN, add_special_tokens=False)
    stops = [tokenizer.eos_token_id, *(mark if len(mark) == 1 else [])]
    return GenerationConfig(
        eos_token_id=stops,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.2,
        max_new_tokens=1024,
    )


def beside(folder: Folder) -> TowerBeside | None:
    """Where the tower's weights lie, for a checkpoint without them in its shards."""
    if is_own(folder) or stored_tower(folder) is not None:
        return None
    return tower_beside(folder, folder.settings["mm_vision_tower"])


def _vision_config(folder: Folder) -> CLIPVisionConfig:
    """That of the tower's folder, which knows its heads; else what its weights tell."""
    named = folder.settings["mm_vision_tower"]
    try:
        return config_beside(tower_beside(folder, named))
    except InputError:
        stored = stored_tower(folder)
        if stored is None:
            raise
        return stored


def _tokenizer(folder: Folder, settings: Mapping[str, Any]) -> Any:
    return llava.tokenizer_with(IMAGE, folder, settings)


PARTS = Parts(
    config=read_config,
    model=YiVLForConditionalGeneration,
    processor=read_processor,
    conversions=conversions,
    generation=read_generation,
    beside=beside,
)
AutoConfig.register(YiVLConfig.model_type, YiVLConfig, exist_ok=True)
AutoModelForImageTextToText.register(YiVLConfig, YiVLForConditionalGeneration, exist_ok=True)
AutoModelForCausalLM.register(YiVLConfig, YiVLForConditionalGeneration, exist_ok=True)  # where TRL 1.16 looks
AutoProcessor.register(YiVLConfig, LlavaProcessor, exist_ok=True)
