"""Build a VLM in LLaVA's shape from a vision tower, a projector and a decoder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from sightline.disks import told_disk
from sightline.errors import ConfigError, MachineError, RunFolderError, nearest
from sightline.models.decoders import check_decoder, check_head, check_same_logits, keep_logit_scale
from sightline.models.folders import reading
from sightline.models.parts import Part, TowerShape, build_tower, find_tower_shape, read_part, tower_folder
from sightline.models.presets import (
    IMAGE,
    LLAVA_WORDS,
    PAD,
    PRESETS,
    ROLE_TOKENS,
    BuildSpec,
    build_tokenizer,
    chat_template,
    preset_spec,
)
from sightline.models.pretrained import load_pretrained
from sightline.models.stored_weights import give_usual_rights
from sightline.runs import LOCK, RunFolder

__all__ = ["PRESETS", "BuildSpec", "BuiltVlm", "build_vlm", "preset_spec", "save_vlm"]

MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class BuiltVlm:
    """A model and its processor, as `AutoModelForImageTextToText` and `AutoProcessor` load them once saved."""

    model: Any
    processor: Any


def build_vlm(spec: BuildSpec, seed: int) -> BuiltVlm:
    """The VLM of a specification, in float32; the same seed gives the same weights. The global generator is untouched.

    Raises:
        ConfigError: the parts are unknown, or do not fit together.
    """
    tower_part, decoder_part = read_part(spec.tower, "tower"), read_part(spec.decoder, "decoder")
    _check_decoder(decoder_part)
    check_decoder(decoder_part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = build_tower(tower_part, spec.tower_gain)
        shape = find_tower_shape(tower, tower_part, spec.image_size, spec.feature_layer)
        processor = _build_processor(spec, tower_part, decoder_part, shape)
        model = _build_model(spec, tower_part, decoder_part, shape, processor.tokenizer)
        _load_parts(model, tower, decoder_part, processor.tokenizer)
    return BuiltVlm(model.eval(), processor)


def save_vlm(built: BuiltVlm, folder: str | Path) -> Path:
    """Write the model folder.

    Raises:
        RunFolderError: the folder holds something already, or another command is writing there.
        MachineError: the disk is full; nothing is left there.
    """
    path = Path(folder)
    check_empty(path)
    path.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()  # one for files that take no time
    with RunFolder(path).at_work():
        check_empty(path)  # once more, as another command may have ended meanwhile
        try:
            built.model.save_pretrained(path)
            built.processor.save_pretrained(path)
            give_usual_rights(path)
        except BaseException as error:
            _empty(path)
            full = told_disk(error)
            if not full:
                raise
            raise MachineError(full) from error
        (path / LOCK).unlink(missing_ok=True)
    return path


def check_empty(folder: Path) -> None:
    """Raise for a folder that a new model would overwrite."""
    if folder.is_file() or (folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir())):
        raise RunFolderError(f"{folder} holds something already. Choose another folder, or empty it.")


def _empty(folder: Path) -> None:
    """Takes half a model away, which a second try would stop at."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _check_decoder(part: Part) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as decoders

    kind = part.config.model_type
    if kind not in decoders:
        hint = nearest(kind, decoders) or "Use llama, qwen2, qwen3, gemma or the like."
        raise ConfigError(f"decoder {part.name}: expected a causal language model, got model_type {kind!r}. {hint}")


def _build_processor(spec: BuildSpec, tower: Part, decoder: Part, shape: TowerShape) -> Any:
    from transformers import LlavaProcessor

    source = spec.tokenizer or decoder.folder
    if source is None:
        limit = getattr(decoder.config, "max_position_embeddings", None) or 2048
        tokenizer, turns = build_tokenizer(limit), ROLE_TOKENS
    else:
        tokenizer, turns = _read_tokenizer(str(source)), LLAVA_WORDS
    return LlavaProcessor(
        _image_processor(tower, shape),
        tokenizer,
        patch_size=shape.patch_size,
        vision_feature_select_strategy=_strategy(shape),
        num_additional_image_tokens=int(shape.has_class_token),
        image_token=IMAGE,
        chat_template=chat_template(turns),
    )


def _read_tokenizer(source: str) -> Any:
    """A pretrained tokenizer with an image and a padding token."""
    from transformers import AutoTokenizer

    with reading(source, "tokenizer:", "Name a folder or a Hub id."):
        tokenizer = load_pretrained(AutoTokenizer, source)
    if tokenizer.eos_token is None:
        raise ConfigError(f"tokenizer: {source} has no end token, so no answer would end. Set its eos_token.")
    tokenizer.add_special_tokens({"extra_special_tokens": [IMAGE]})
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD})
    return tokenizer


def _image_processor(tower: Part, shape: TowerShape) -> Any:
    """The tower folder's own image processor, or one that scales pixels of a square picture to -1 to 1."""
    from transformers import AutoImageProcessor, CLIPImageProcessor

    folder = tower_folder(tower)
    size = {"height": shape.image_size, "width": shape.image_size}
    if folder is not None:
        with reading(str(folder), "The image processor of"):
            return load_pretrained(AutoImageProcessor, folder)
    half = [0.5, 0.5, 0.5]
    return CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False, image_mean=half, image_std=half)


def _strategy(shape: TowerShape) -> str:
    return "default" if shape.has_class_token else "full"


def _build_model(spec: BuildSpec, tower: Part, decoder: Part, shape: TowerShape, tokenizer: Any) -> Any:
    import transformers
    from transformers.activations import ACT2FN

    if spec.projector not in ACT2FN:
        hint = nearest(spec.projector, ACT2FN) or "Use gelu."
        raise ConfigError(f"projector: transformers has no activation {spec.projector!r}. {hint}")
    _fit_vocabulary(decoder, tokenizer)
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    decoder.config.update(ends)
    tower.config.hidden_size = shape.channels  # LLaVA sizes its projector by it; towers with stages have none
    kind = "FastVlm" if shape.is_map else "Llava"  # the same model, for towers with maps and with sequences
    config = getattr(transformers, f"{kind}Config")(
        vision_config=tower.config,
        text_config=decoder.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=shape.tokens,
        projector_hidden_act=spec.projector,
        vision_feature_layer=spec.feature_layer,
        vision_feature_select_strategy=_strategy(shape),
        tie_word_embeddings=bool(decoder.config.tie_word_embeddings),
        **ends,
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    model.generation_config = transformers.GenerationConfig(do_sample=False, max_new_tokens=MAX_NEW_TOKENS, **ends)
    return model


def _fit_vocabulary(decoder: Part, tokenizer: Any) -> None:
    """Give a fresh decoder the tokenizer's vocabulary where its config names none."""
    if decoder.folder is not None:
        return
    if "vocab_size" not in decoder.given:
        decoder.config.vocab_size = len(tokenizer)
    if decoder.config.vocab_size < len(tokenizer):
        raise ConfigError(
            f"decoder {decoder.name}: expected a vocab_size of at least {len(tokenizer)}, the tokenizer's tokens, "
            f"got {decoder.config.vocab_size}. Raise it, or leave it out."
        )


def _load_parts(model: Any, tower: torch.nn.Module, decoder: Part, tokenizer: Any) -> None:
    """Put the tower in, and a pretrained decoder's weights, its embeddings grown for tokens that it did not have."""
    from transformers import AutoModelForCausalLM

    model.model.vision_tower.load_state_dict(tower.state_dict())
    if decoder.folder is None:
        keep_logit_scale(model, decoder)
        return
    with reading(str(decoder.folder), "decoder:"):
        pretrained = load_pretrained(AutoModelForCausalLM, decoder.folder, {"dtype": torch.float32})
    check_head(pretrained, decoder)
    model.model.language_model.load_state_dict(pretrained.base_model.state_dict())
    model.lm_head.load_state_dict(pretrained.get_output_embeddings().state_dict())
    keep_logit_scale(model, decoder)
    check_same_logits(model, pretrained, decoder)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
