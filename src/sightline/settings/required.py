"""What a training run cannot do without: a model to start from, and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.errors import ConfigError


def require_named(given: Mapping[str, Any]) -> None:
    """Nothing where the settings of sft or dpo name a model and rows.

    Raises:
        ConfigError: one is missing.
    """
    require_start(given.get("model_name_or_path"), given.get("preset"))
    if not given.get("datasets"):
        require_dataset(given.get("dataset_name"))


def require_start(model: str | None, preset: str | None) -> None:
    """Nothing where a model or a preset is named.

    Raises:
        ConfigError: neither is, or both are.
    """
    if (model is None) == (preset is None):
        raise ConfigError(
            "model_name_or_path: expected a model folder, a Hub id, or a preset by --preset instead; "
            f"got {'neither' if model is None else 'both'}."
        )


def require_dataset(name: str | None) -> None:
    """Nothing where rows are named.

    Raises:
        ConfigError: they are not.
    """
    if name is None:
        raise ConfigError("dataset_name: expected a file, a folder or a Hub id; got nothing. Set --dataset_name.")
