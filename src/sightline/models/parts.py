"""Read a part of a VLM to build: a config, a JSON file of one, or a pretrained folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
