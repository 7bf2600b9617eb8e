"""The parts of a VLM to build: read a config, a JSON file of one, or a pretrained folder; make the vision tower."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.errors import ConfigError, nearest
from sightline.models.folders import reading
from sightline.models.pretrained import load_pretrained
from sightline.notation import read_json


@dataclass(frozen=True)
class Part:
    """A tower or a decoder before it is built.

    Attributes:
        name: where it came from, for messages.
        config: transformers' config.
        given: keys that the user set; all of them for a folder.
        folder: where its weights lie; None starts from fresh ones.
    """

    name: str
    config: Any
    given: frozenset[str]
    folder: Path | None = None


def read_part(source: dict[str, Any] | str | Path, role: str) -> Part:
    """The part that `source` describes; of a model with vision and text, a tower is its vision part.

    Raises:
        ConfigError: no such file or folder, no JSON object, an unknown model type or key, a value of the wrong type.
    """
    if isinstance(source, dict):
        return _from_settings(source, str(source.get("model_type", role)), role)
    path = Path(source).expanduser()
    if path.is_dir():
        return _from_folder(path, role)
    if not path.is_file():
        raise ConfigError(
            f"{role}: there is no file or folder {path}. Name a config JSON or a pretrained model's folder."
        )
    try:
        settings = read_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{role}: {path} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{role}: expected an object of settings in {path}, got {type(settings).__name__}.")
    return _from_settings(settings, str(path), role)


def _from_folder(folder: Path, role: str) -> Part:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise ConfigError(f"{role}: {folder} has no config.json. Name a folder that `save_pretrained` wrote.")
    with reading(str(folder), f"{role}:"):
        config = load_pretrained(AutoConfig, folder)
    return Part(str(folder), _own_config(config, role), frozenset(config.to_dict()), folder)


def _from_settings(settings: dict[str, Any], name: str, role: str) -> Part:
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = settings.get("model_type")
    if kind is None:
        raise ConfigError(f'{role} {name}: expected "model_type" among its keys, got {", ".join(settings) or "none"}.')
    if kind not in CONFIG_MAPPING:
        hint = nearest(str(kind), CONFIG_MAPPING.keys()) or "`transformers.CONFIG_MAPPING` lists them."
        raise ConfigError(f"{role} {name}: transformers has no model_type {kind!r}. {hint}")
    rest = {key: value for key, value in settings.items() if key != "model_type"}
    if "transformers_version" not in settings:  # written by hand: a misspelt key would be kept and never used
        _check_keys(rest, CONFIG_MAPPING[kind], f"{role} {name}")
    try:
        config = AutoConfig.for_model(kind, **rest)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{role} {name}: {error}") from error
    return Part(name, _own_config(config, role), frozenset(settings))


def _check_keys(settings: dict[str, Any], config_class: Any, where: str) -> None:
    known = {field.name for field in dataclasses.fields(config_class)} | set(config_class.attribute_map)
    for key in settings:
        if key not in known:
            raise ConfigError(f"{where}: {config_class.__name__} has no key {key!r}. {nearest(key, known)}".strip())


def _own_config(config: Any, role: str) -> Any:
    return getattr(config, "vision_config", config) if role == "tower" else config


@dataclass(frozen=True)
class TowerShape:
    """What the projector gets from a tower for one picture.

    Attributes:
        image_size: side of the square picture, in pixels.
        patch_size: side of the square that one image token stands for, in pixels.
        channels: width of a hidden state.
        tokens: image tokens of a picture.
        has_class_token: a token in front that stands for no place; it is dropped.
        is_map: the tower is convolutional: its last state is a map (B, C, H, W), not a sequence (B, N, C).
    """

    image_size: int
    patch_size: int
    channels: int
    tokens: int
    has_class_token: bool
    is_map: bool


def build_tower(part: Part, gain: float | None = None) -> nn.Module:
    """The tower, with its folder's weights or fresh ones drawn with `gain`, `tower_gain` of `BuildSpec`.

    Raises:
        ConfigError: transformers has no model of this kind, or it has BatchNorm.
    """
    from transformers import AutoModel

    try:
        fresh: nn.Module = AutoModel.from_config(part.config, trust_remote_code=False)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(f"tower {part.name}: transformers cannot build it: {error}") from error
    coupled = next((name for name, module in fresh.named_modules() if _couples_images(module)), None)
    if coupled is not None:
        raise ConfigError(
            f"tower {part.name}: {coupled} is a BatchNorm. Its output depends on the other images of a batch, so "
            "sharing images would change the loss. Use a tower with LayerNorm or GroupNorm (vit, siglip, bit)."
        )
    if part.folder is None:
        if gain is not None:
            _draw_kernels(fresh, gain)
        return fresh
    with reading(str(part.folder), "tower:"):
        pretrained: nn.Module = load_pretrained(type(fresh), part.folder, {"dtype": torch.float32})
    return pretrained


def find_tower_shape(tower: Any, part: Part, image_size: int | None, feature_layer: int) -> TowerShape:
    """The shape of the features, found by showing the tower a picture.

    Raises:
        ConfigError: neither hidden states (B, N, C) nor a map (B, C, H, W), or N is no square, with or without a class
            token.
    """
    size = _image_size(part, image_size)
    features = _features(tower, part, size, feature_layer)
    if features.ndim not in (3, 4):
        raise ConfigError(
            f"tower {part.name}: expected features (images, tokens, channels) or (images, channels, height, width), "
            f"got {tuple(features.shape)}. Use a tower that keeps places apart (vit, siglip_vision_model, bit)."
        )
    is_map = features.ndim == 4
    features_BNC = features.flatten(2).transpose(1, 2) if is_map else features
    positions, channels = features_BNC.shape[1:]
    for extra in (0,) if is_map else (0, 1):
        side = math.isqrt(positions - extra)
        if side > 0 and side * side == positions - extra and size % side == 0:
            return TowerShape(size, size // side, channels, side * side, extra == 1, is_map)
    raise ConfigError(
        f"tower {part.name}: {positions} tokens for a picture of {size} x {size} are no square grid that divides it, "
        "with or without one class token. Choose an image_size that the tower's patches divide."
    )


def _image_size(part: Part, image_size: int | None) -> int:
    size = image_size if image_size is not None else getattr(part.config, "image_size", None)
    if isinstance(size, list | tuple) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int) or size < 1:
        raise ConfigError(
            f"tower {part.name}: expected the side of a square picture, got image_size {size!r}. Set image_size."
        )
    return size


def _features(tower: Any, part: Part, size: int, feature_layer: int) -> torch.Tensor:
    """What the tower makes of a picture: its last state where that is a map, else the hidden state asked for."""
    channels = getattr(part.config, "num_channels", 3)
    ramp = torch.linspace(-1, 1, channels * size * size).view(1, channels, size, size)
    try:
        with torch.no_grad():
            outputs, again = (
                tower.eval()(pixel_values=ramp, output_hidden_states=True, return_dict=True) for _ in range(2)
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"tower {part.name}: it cannot read a picture of {size} x {size}: {error}") from error
    finally:
        tower.train()
    last: torch.Tensor = outputs.last_hidden_state
    if not torch.equal(last, again.last_hidden_state):
        raise ConfigError(
            f"tower {part.name}: it reads a picture in another way each time (a masked autoencoder leaves patches out "
            "by chance). Use a tower that does not; the weights of a vit_mae load as vit."
        )
    if last.ndim == 4:
        if feature_layer != -1:
            raise ConfigError(f"feature_layer: a tower with maps gives its last one, -1; got {feature_layer}.")
        return last
    states: tuple[torch.Tensor, ...] = getattr(outputs, "hidden_states", None) or ()
    if not states:
        raise ConfigError(f"tower {part.name}: it returns no hidden states. Use vit, siglip_vision_model or bit.")
    if not -len(states) <= feature_layer < len(states):
        raise ConfigError(f"feature_layer: expected {-len(states)} to {len(states) - 1}, got {feature_layer}.")
    return states[feature_layer]


def _draw_kernels(tower: nn.Module, gain: float) -> None:
    for module in tower.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=gain * module.weight[0].numel() ** -0.5)


def _couples_images(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def tower_folder(part: Part) -> Path | None:
    """The tower's folder where it holds an image processor of its own."""
    if part.folder is not None and (part.folder / "preprocessor_config.json").is_file():
        return part.folder
    return None
