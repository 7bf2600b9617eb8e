"""Put a PEFT adapter on a model, every weight of it in its place, or refuse it with how many have one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError
from sightline.models.folders import reading, require_settings
from sightline.models.pretrained import refused_pickles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "default"
SHARED = ("vblora_vector_bank", "prompt_encoder")  # places that PEFT (0.21) fills from one shared weight


def is_adapter(folder: str) -> bool:
    """Whether a folder holds an adapter; where it holds a configuration besides, transformers takes it for one, too."""
    return Path(folder, "adapter_config.json").is_file()


def base_of_adapter(folder: str) -> str:
    """The folder or Hub id of the model that an adapter was trained on.

    Raises:
        InputError: the adapter does not say.
    """
    base = require_settings(Path(folder, "adapter_config.json")).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(
            f"{folder} holds an adapter that does not name its base model. "
            "Pass the base model's folder as the model and this folder as the adapter."
        )
    return str(base)


def load_adapter(model: PreTrainedModel, adapter: str) -> Any:
    """PEFT's wrapper of the model with the adapter in it, frozen.

    PEFT (0.21) leaves weights out that have no place, and places without a weight as they were drawn; a model so loaded
    answers as its base does.

    Raises:
        InputError: a weight has no place or another shape, or a place has no weight; how many do. Or its weights lie in
            a pickle that would run something.
    """
    with reading(adapter, "The adapter"):
        return _adapted(model, adapter)


def _adapted(model: PreTrainedModel, adapter: str) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings(), refused_pickles(adapter):
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # said below, with what to do
            adapted = PeftModel.from_pretrained(model, adapter, adapter_name=NAME)
            left = _left_over(adapted, adapter)
    except KeyError as error:  # a module of modules_to_save without weights in the file
        raise _misfit(adapter, f"its configuration wants {error.args[0]}, which its file has not") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise _misfit(adapter, _first_lines(str(error))) from error
    if left:
        raise _misfit(adapter, left)
    return adapted


def _left_over(adapted: Any, adapter: str) -> str:
    """What found no place, in words; empty where all fits. Reads the weights again, since PEFT tells then."""
    from peft.utils.save_and_load import load_peft_weights

    if adapted.peft_config[NAME].is_prompt_learning:  # PEFT gives its one weight to the prompt's encoder itself
        return ""
    layout = getattr(adapted.get_base_model(), "_checkpoint_conversion_mapping", {})
    result = adapted.load_adapter(adapter, NAME, key_mapping=layout)
    weights = len(load_peft_weights(adapter, device="cpu"))
    stray = list(result.unexpected_keys)
    empty = [place for place in result.missing_keys if not any(shared in place for shared in SHARED)]
    if not stray and not empty:
        return ""
    found = f"of its {weights} weights {weights - len(stray)} have a place in the model"
    if stray:
        found += f", not so {_shown(stray)}"
    if empty:
        found += f"; {len(empty)} places of the model have no weight in it, such as {_shown(empty)}"
    return found


def _misfit(adapter: str, what: str) -> InputError:
    return InputError(
        f"The adapter {adapter} does not fit this model: {what}. Pass the model it was trained on, in the layout that "
        "it had then (`base_model_name_or_path` in adapter_config.json names it)."
    )


def _shown(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"


def _first_lines(message: str) -> str:
    """The head of a message that may list every weight of a model."""
    lines = [line.strip() for line in message.split("\n") if line.strip()]
    sizes = [line for line in lines if line.startswith("size mismatch")]
    if sizes:
        return f"{len(sizes)} of its weights have another shape ({sizes[0].rstrip('.')})"
    return " ".join(lines[:2])[:400].rstrip(".")
