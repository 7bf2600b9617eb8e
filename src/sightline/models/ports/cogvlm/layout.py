"""CogVLM's published folders: settings, processor and generation, with what the authors left to their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    ProcessorMixin,
)

from sightline.errors import InputError
from sightline.models.ports.cogvlm.config import CogVLMConfig, CogVLMVisionConfig
from sightline.models.ports.cogvlm.model import CogVLMForCausalLM
from sightline.models.ports.cogvlm.processor import CogVLMImageProcessor, CogVLMProcessor
from sightline.models.ports.cogvlm.templates import chat_template
from sightline.models.ports.cogvlm.tokenizer import read_tokenizer
from sightline.models.published.folder import Folder
from sightline.models.published.layout import MEND, Conversion, Parts

_FOREIGN = ("architectures", "auto_map", "model_type", "_name_or_path", "torch_dtype", "transformers_version")


def read_config(folder: Folder) -> CogVLMConfig:
    """The config of our class.

    Raises:
        InputError: sizes that contradict each other, or a prompt that is not known.
    """
    _require_first_generation(folder)
    settings = {name: value for name, value in folder.settings.items() if name not in _FOREIGN}
    settings.setdefault("dtype", folder.settings.get("torch_dtype"))
    try:
        return CogVLMConfig(**settings, architectures=[CogVLMForCausalLM.__name__])
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"{folder.name}: config.json is not that of a CogVLM: {_last_line(error)}. {MEND}") from error


def _require_first_generation(folder: Folder) -> None:
    settings = folder.settings
    name = str((settings.get("architectures") or [CogVLMForCausalLM.__name__])[0])
    if name == CogVLMForCausalLM.__name__ and "num_multi_query_heads" not in settings:
        return
    family = "CogAgent" if name.startswith("CogAgent") else "CogVLM2"
    raise InputError(
        f"{folder.name} is a {family}, whose layers are others. Of this family Sightline has the first CogVLM: "
        "cogvlm-base-224-hf, cogvlm-base-490-hf, cogvlm-chat-hf, cogvlm-grounding-base-hf and "
        "cogvlm-grounding-generalist-hf. Name one of these."
    )


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip(" .").removeprefix("ValueError: ")


def conversions(folder: Folder) -> Sequence[Conversion]:
    """None: the class keeps the published names."""
    return []


def read_generation(folder: Folder) -> GenerationConfig:
    """Greedy, to the end token, within the 2048 tokens of its context."""
    config = read_config(folder)
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        max_length=config.max_position_embeddings,
    )


def read_processor(folder: Folder, settings: Mapping[str, Any]) -> ProcessorMixin:
    """The processor with the authors' prompt.

    Raises:
        InputError: neither the folder nor the settings name a tokenizer, or it is not that of CogVLM.
    """
    config = read_config(folder)
    tokenizer = read_tokenizer(folder, settings, config.vocab_size)
    vision: Any = config.vision_config
    side = {"height": vision.image_size, "width": vision.image_size}
    return CogVLMProcessor(
        image_processor=CogVLMImageProcessor(size=side),
        tokenizer=tokenizer,
        image_tokens=config.image_tokens,
        chat_template=_saved_template(folder) or chat_template(config.template_version),
    )


def _saved_template(folder: Folder) -> str | None:
    path = folder.file("chat_template.jinja")
    return path.read_text(encoding="utf-8") if path is not None else None


def register() -> None:
    """Let transformers' auto classes know ours, by the `model_type` of folders that our class has saved."""
    AutoConfig.register("cogvlm", CogVLMConfig, exist_ok=True)
    AutoConfig.register("cogvlm_vision", CogVLMVisionConfig, exist_ok=True)
    AutoModelForImageTextToText.register(CogVLMConfig, CogVLMForCausalLM, exist_ok=True)
    AutoModelForCausalLM.register(CogVLMConfig, CogVLMForCausalLM, exist_ok=True)
    AutoProcessor.register(CogVLMConfig, CogVLMProcessor, exist_ok=True)
    kinds = {"torchvision": CogVLMImageProcessor, "pil": CogVLMImageProcessor}  # the authors' resampling in any case
    AutoImageProcessor.register(CogVLMConfig, image_processor_classes=kinds, exist_ok=True)


register()
PARTS = Parts(
    config=read_config,
    model=CogVLMForCausalLM,
    processor=read_processor,
    conversions=conversions,
    generation=read_generation,
)
