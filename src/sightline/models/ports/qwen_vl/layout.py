"""Qwen-VL's folders: told apart from those of Qwen-7B and GPTQ, and what they leave to their authors' code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from sightline.errors import InputError
from sightline.models.guarded import load_guarded
from sightline.models.ports.qwen_vl.config import QwenVLConfig, unfit
from sightline.models.ports.qwen_vl.model import QwenVLForConditionalGeneration
from sightline.models.ports.qwen_vl.processor import QwenVLImageProcessor, QwenVLProcessor
from sightline.models.ports.qwen_vl.prompts import CHAT, RAW
from sightline.models.ports.qwen_vl.tokenizer import (
    END,
    END_OF_TURN,
    IMAGE,
    SPECIALS,
    TURN,
    VOCABULARY,
    read_tokenizer,
)
from sightline.models.published.folder import INDEXES, Folder, read_folder
from sightline.models.published.layout import Parts

CHATS, GOES_ON = "chatml", "raw"  # the authors' names of the two ways to ask
OWN_PROCESSOR = "processor_config.json"  # in folders that the classes here saved
CODE = ("auto_map", "architectures")  # of the authors' classes


def qwen_vl() -> Parts:
    """What Qwen-VL is loaded by; from now on transformers knows its classes, too."""
    AutoConfig.register(QwenVLConfig.model_type, QwenVLConfig, exist_ok=True)
    for auto in (AutoModelForImageTextToText, AutoModelForCausalLM):
        auto.register(QwenVLConfig, QwenVLForConditionalGeneration, exist_ok=True)
    AutoImageProcessor.register(QwenVLConfig, QwenVLImageProcessor, exist_ok=True)
    AutoProcessor.register(QwenVLConfig, QwenVLProcessor, exist_ok=True)
    return Parts(
        config=read_config,
        model=QwenVLForConditionalGeneration,
        processor=read_processor,
        conversions=lambda folder: (),
        generation=read_generation,
    )


def read_config(folder: Folder) -> QwenVLConfig:
    """The folder's settings.

    Raises:
        InputError: they are those of Qwen-7B, of GPTQ, or of sizes that do not go together.
    """
    settings = dict(folder.settings)
    if not isinstance(settings.get("visual"), dict):
        raise InputError(
            f"{folder.name}: expected Qwen-VL or Qwen-VL-Chat, whose config.json has an object at visual; got "
            f"{settings.get('visual')!r} there, as plain Qwen-7B has, which reads no images. Name Qwen/Qwen-VL-Chat, "
            "or a folder tuned from it."
        )
    quantised = settings.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    named = [name for index in INDEXES for name in folder.read_settings(index).get("weight_map", ())]
    if method == "gptq" or any(name.endswith(".qweight") for name in named):
        raise InputError(
            f"{folder.name}: expected weights as they were trained, got those of GPTQ (Qwen-VL-Chat-Int4), which "
            "Sightline does not read. Name Qwen/Qwen-VL-Chat, and set load_in_4bit where memory is short."
        )
    problem = unfit(settings)
    if problem:
        raise InputError(f"{folder.name}: config.json: expected {problem}. Copy the folder again.")
    for name in CODE:
        settings.pop(name, None)
    return QwenVLConfig.from_dict(settings)


def read_processor(folder: Folder, settings: Mapping[str, Any]) -> QwenVLProcessor:
    """The processor that was saved with the folder, else one from its `qwen.tiktoken`.

    Raises:
        InputError: there is no tokenizer, or one of another vocabulary than the model's.
    """
    if folder.file(OWN_PROCESSOR) is not None and not settings.get("tokenizer"):
        return load_guarded(QwenVLProcessor, folder.name, {"revision": folder.revision})
    config = read_config(folder)
    tokenizer = _tokenizer(folder, settings)
    given, expected = tokenizer.convert_tokens_to_ids(IMAGE), (config.visual or {})["image_start_id"]
    if given != expected:
        raise InputError(
            f"{folder.name}: expected a tokenizer in which {IMAGE} is {expected} (image_start_id in config.json), got "
            f"one in which it is {given}. Take {VOCABULARY} of Qwen/Qwen-VL-Chat, whole: it has 151,643 lines."
        )
    side = (config.visual or {})["image_size"]
    return QwenVLProcessor(
        QwenVLImageProcessor(size={"height": side, "width": side}),
        tokenizer,
        chat_template=CHAT if chats(folder) else RAW,
        image_seq_length=config.image_features,
    )


def _tokenizer(folder: Folder, settings: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    asked = settings.get("tokenizer")
    source = folder if asked is None else read_folder(str(asked)) or Folder(str(asked), None, {})
    path = source.file(VOCABULARY)
    if path is None and Path(source.name).name == VOCABULARY and Path(source.name).is_file():
        path = Path(source.name)
    if path is None:
        raise InputError(
            f"{source.name}: expected {VOCABULARY}, the words of its tokenizer; got none. Copy it from "
            "Qwen/Qwen-VL-Chat into the folder, or name a folder that has it with --tokenizer FOLDER."
        )
    return read_tokenizer(path)


def chats(folder: Folder) -> bool:
    """Whether the folder is that of Qwen-VL-Chat, and not of the base model, which has the same settings and weights.

    Raises:
        InputError: nothing in the folder tells.
    """
    said = folder.read_settings("generation_config.json").get("chat_format")
    if said in (CHATS, GOES_ON):
        return bool(said == CHATS)
    saved = folder.file("chat_template.jinja")
    if saved is not None:
        return TURN in saved.read_text(encoding="utf-8")
    raise InputError(
        f"{folder.name}: expected generation_config.json with chat_format {CHATS} (Qwen-VL-Chat) or {GOES_ON} "
        f"(Qwen-VL, the base model), which differ in nothing else; got {said!r}. Copy that file from the one it is."
    )


def read_generation(folder: Folder) -> GenerationConfig:
    """The authors' settings of sampling, with all tokens that end an answer."""
    stored = folder.read_settings("generation_config.json")
    first = int(folder.settings["visual"]["image_start_id"]) - SPECIALS.index(IMAGE)
    ids = {word: first + SPECIALS.index(word) for word in (END, TURN, END_OF_TURN)}
    stops = [ids[END_OF_TURN], ids[TURN], ids[END]] if chats(folder) else ids[END]
    return GenerationConfig.from_dict(
        {**stored, "eos_token_id": stops, "pad_token_id": ids[END], "bos_token_id": ids[END]}
    )
