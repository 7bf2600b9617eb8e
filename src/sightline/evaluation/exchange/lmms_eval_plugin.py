"""The entry point `lmms_eval.models`, light to import: it names `--model sightline`."""

from __future__ import annotations

from typing import Any

_MODELS = "sightline.evaluation.exchange.lmms_eval_model"


def manifest() -> Any:
    """lmms-eval's record of our model, with a class for tasks in chat form and one for those in simple form."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(
        model_id="sightline", simple_class_path=f"{_MODELS}.SightlineSimple", chat_class_path=f"{_MODELS}.SightlineChat"
    )
