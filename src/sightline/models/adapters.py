"""Load a PEFT adapter onto a model: every weight finds its place, or it is refused with a count."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError, nearest
from sightline.models.adapter_folders import SETTINGS, require_lasting_start
from sightline.models.folders import reading, require_settings
from sightline.models.guarded import refused_pickles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "default"
SHARED = ("vblora_vector_bank", "prompt_encoder")  # places that PEFT (0.21) fills from one shared weight


def load_adapter(model: PreTrainedModel, adapter: str, trainable: bool = False) -> Any:
    """PEFT's wrapper of the model with the adapter in it, frozen, or `trainable` from where it stands.

    PEFT (0.21) leaves weights out that have no place, and places without a weight as they were drawn; a model so loaded
    answers as its base does.

    Raises:
        InputError: a weight has no place or another shape, or a place has no weight; how many do. Or its kind is
            unknown, or it is trainable no more, or its weights lie in a pickle that would run something.
    """
    with reading(adapter, "The adapter"):
        if Path(adapter, SETTINGS).is_file():
            kind_of_adapter(adapter)
            require_lasting_start(adapter)
        return _adapted(model, adapter, trainable)


def kind_of_adapter(folder: str) -> str:
    """PEFT's name of what an adapter is: LORA, LOHA, PROMPT_TUNING and others.

    Raises:
        InputError: PEFT has nothing of that name.
    """
    from peft import PeftType

    kind = require_settings(Path(folder, SETTINGS)).get("peft_type")
    known = [one.value for one in PeftType]
    if kind not in known:
        raise InputError(
            f"{folder}: expected a peft_type that PEFT {version('peft')} knows in {SETTINGS}, got {kind!r}. "
            f"{nearest(str(kind).upper(), known)}".rstrip()
        )
    return str(kind)


def base_model(model: Any) -> Any:
    """The transformers model under PEFT's wrapper, or the model itself."""
    from peft import PeftModel

    return model.get_base_model() if isinstance(model, PeftModel) else model


def _adapted(model: PreTrainedModel, adapter: str, trainable: bool) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings(), refused_pickles(adapter):
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # said below, with what to do
            adapted = PeftModel.from_pretrained(model, adapter, adapter_name=NAME, is_trainable=trainable)
            left = _left_over(adapted, adapter, trainable)
    except KeyError as error:  # a module of modules_to_save without weights in the file
        raise _misfit(adapter, f"its configuration wants {error.args[0]}, which its file has not") from error
    except (OSError, ValueError, RuntimeError) as error:
        if trainable and "prompt learning" in str(error):
            raise InputError(
                f"{adapter} holds a {kind_of_adapter(adapter)} adapter: virtual tokens, which PEFT cannot go on "
                "training. Start a new one from its base model."
            ) from error
        raise _misfit(adapter, _first_lines(str(error))) from error
    if left:
        raise _misfit(adapter, left)
    return adapted


def _left_over(adapted: Any, adapter: str, trainable: bool) -> str:
    """What found no place, in words; empty where all fits. Reads the weights again, since PEFT tells then."""
    from peft.utils.save_and_load import load_peft_weights

    if adapted.peft_config[NAME].is_prompt_learning:  # PEFT gives its one weight to the prompt's encoder itself
        return ""
    layout = getattr(adapted.get_base_model(), "_checkpoint_conversion_mapping", {})
    result = adapted.load_adapter(adapter, NAME, is_trainable=trainable, key_mapping=layout)
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
