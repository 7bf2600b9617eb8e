"""Explain in one line why transformers cannot read a model's folder: name the damaged file."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.disks import told_disk
from sightline.errors import InputError, MachineError, SightlineError
from sightline.models.pretrained import check_code, load_pretrained
from sightline.models.published.table import recognise
from sightline.models.stored_weights import INDEX, PICKLED_INDEX, index_problem, loading_problem, weights_problem

SETTINGS = (
    "config.json", "generation_config.json", "processor_config.json", "preprocessor_config.json",
    "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "adapter_config.json",
    "model.safetensors.index.json", "chat_template.json",
)  # fmt: skip
SECTIONS = {"text_config", "vision_config"}
SHOWN = 300
MOST_SIDE = 2**16  # pixels; a picture of it has 4 billion, more than any that is opened
MEND = "Mend config.json, or copy the folder again."
_OF_IMAGE = re.compile(r"(image|img)(_\w+)?_token(_id)?")


@contextmanager
def reading(folder: str, what: str, mend: str = "") -> Iterator[None]:
    """What is raised while a part of a model is read, as an InputError; `what` is that part ("The model").

    Transformers, tokenizers and safetensors check little of what they read: a value of another kind raises whatever
    the code that first uses it does. What the machine lacks (memory, a disk that works, a package) passes as it is.
    """
    try:
        yield
    except (SightlineError, MemoryError):
        raise
    except ImportError as error:
        if not error.name:  # transformers says itself what to install
            raise
        raise MachineError(f"{what} {folder} needs the package {error.name}, which is not installed.") from error
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        if told_disk(error):
            raise MachineError(f"{what} {folder} could not be loaded: {told_disk(error)}") from error
        raise InputError(
            f"{what} {folder} could not be loaded: {why_unreadable(folder, error)} {mend}".strip()
        ) from error


def require_readable(name: str, revision: str | None = None) -> None:
    """Nothing where the settings and the heads of the weights of a folder or Hub id can be read.

    Raises:
        InputError: one is cut, garbled, or holds a value of another kind.
    """
    import transformers
    from transformers import GenerationConfig

    config = require_whole(name, revision)
    with reading(name, "The configuration of"):
        check_code(name, revision)
        if recognise(name, revision) is not None:
            return  # of a class that the layout names, whatever stands at architectures
        classes = config.architectures or [None]
        found = getattr(transformers, classes[0], None) if isinstance(classes[0], str) else None
        if found is None:
            raise InputError(
                f"{name}: expected a class of transformers at architectures in config.json, got {classes[0]!r}. Write "
                "the name of the model's class there, or copy the folder again."
            )
        kind = getattr(found, "config_class", None)
        if kind is not None and kind.model_type != config.model_type:
            raise InputError(
                f"{name}: config.json has the model_type {config.model_type!r}, but {classes[0]} at architectures is "
                f"of {kind.model_type!r}. Mend the one that is wrong, or copy the folder again."
            )
    if Path(name, "generation_config.json").is_file():
        with reading(name, "The generation_config.json of"):
            generation = load_pretrained(GenerationConfig, name)
        require_numbers(name, generation)


def require_numbers(name: str, generation: Any) -> None:
    """Raises InputError for settings of generation that are no numbers, which would end a run where it generates."""
    stop, penalty = generation.eos_token_id, generation.repetition_penalty
    stops = stop if isinstance(stop, list) else [] if stop is None else [stop]
    is_number = isinstance(penalty, int | float) and penalty > 0
    if not all(isinstance(one, int) for one in stops) or not (penalty is None or is_number):
        raise InputError(
            f"{name}: generation_config.json: expected numbers at eos_token_id and repetition_penalty (above 0), "
            f"got {str(stop)[:60]!r} and {str(penalty)[:60]!r}. Mend the model's folder."
        )


def require_embedded(name: str, config: Any, processor: Any) -> None:
    """Nothing where the model has an embedding for each token that may stand around a text.

    Raises:
        InputError: it has not, so that the first batch would fail.
    """
    rows = getattr(config.get_text_config(), "vocab_size", None)
    for kind in ("pad_token", "bos_token", "eos_token"):
        with reading(name, "The tokenizer of"):
            number = getattr(processor.tokenizer, f"{kind}_id", None)
        if isinstance(rows, int) and isinstance(number, int) and number >= rows:
            token = str(getattr(processor.tokenizer, kind))[:40]
            raise InputError(
                f"{name}: the tokenizer's {kind} {token!r} is number {number}, but the model has embeddings for "
                f"{rows:,} tokens (vocab_size). Name one that it knows in tokenizer_config.json, or copy the folder."
            )


def require_feature_layers(name: str, config: Any) -> None:
    """Nothing where a model's features come from layers that its vision tower has.

    Raises:
        InputError: `vision_feature_layer` names another, which the first image would fail on.
    """
    tower = getattr(getattr(config, "vision_config", None), "num_hidden_layers", None)
    for layer in _listed(getattr(config, "vision_feature_layer", None)):
        if isinstance(layer, int) and isinstance(tower, int) and not -tower - 1 <= layer <= tower:
            raise InputError(
                f"{name}: vision_feature_layer is {str(layer)[:20]}, but the vision tower has {tower} layers. "
                "Mend config.json, or copy the folder again."
            )


def require_padding(name: str, processor: Any) -> None:
    """Nothing where a processor can pad texts of unequal length.

    Raises:
        InputError: its tokenizer names no token for it.
    """
    if processor.tokenizer.pad_token_id is None:
        raise InputError(
            f"{name}: the tokenizer has no padding token, which texts of unequal length need. Name one as pad_token in "
            "tokenizer_config.json, often that of eos_token."
        )


def require_whole_characters(name: str, processor: Any) -> None:
    """Nothing where a tokenizer's settings can be written again, as a trained or merged model is.

    Raises:
        InputError: a text among them holds half of a character.
    """
    try:
        json.dumps(processor.tokenizer.init_kwargs, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise InputError(
            f"{name}: tokenizer_config.json holds {half}, half of a character, with which no file can be written. "
            "Mend it, or copy the folder again."
        ) from error


def require_picture_settings(name: str, processor: Any) -> None:
    """Nothing where a processor's settings can make something of a picture.

    Raises:
        InputError: a size, a mean or a factor is none, which would else be blamed on the first picture.
    """
    of_images = getattr(processor, "image_processor", None)
    for setting, is_right, wanted in _PICTURE_SETTINGS:
        value = getattr(of_images, setting, None)
        if value is not None and not is_right(value, of_images):
            raise InputError(
                f"{name}: the processor's {setting}: expected {wanted}, got {str(_given(value))[:100]}. Mend "
                "preprocessor_config.json or processor_config.json, or copy the folder again."
            )


def _given(value: Any) -> Any:
    """A setting without the sides of a size that are not set."""
    sides = vars(value) if dataclasses.is_dataclass(value) else value
    return {side: one for side, one in sides.items() if one is not None} if isinstance(sides, dict) else value


def _are_sides(value: Any, of_images: Any) -> bool:
    """Whether a size has sides in pixels; families that count all pixels in place of sides take more."""
    most = MOST_SIDE**2 if any(hasattr(of_images, one) for one in ("merge_size", "min_pixels")) else MOST_SIDE
    given = _given(value)
    sides = list(given.values()) if isinstance(given, dict) else [given]
    return bool(sides) and all(
        isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= most for side in sides
    )


def _are_numbers(value: Any, of_images: Any) -> bool:
    """Whether a mean is a number, or one for each channel."""
    return all(isinstance(one, int | float) and math.isfinite(one) for one in _listed(value))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


_PICTURE_SETTINGS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("size", _are_sides, f"sides of 1 to {MOST_SIDE:,} pixels"),
    ("size_divisor", _are_sides, f"1 to {MOST_SIDE:,} pixels"),
    ("image_mean", _are_numbers, "a number for each channel"),
    (
        "image_std",
        lambda value, of: _are_numbers(value, of) and 0 not in _listed(value),
        "a number but 0 for each channel",
    ),
    ("rescale_factor", lambda value, of: _are_numbers(value, of) and 0 < value <= 1, "a number between 0 and 1"),
    ("resample", lambda value, of: value in range(6), "one of Pillow's filters, 0 to 5"),
)


def require_whole(name: str, revision: str | None = None) -> Any:
    """The configuration of a folder or Hub id, whose files are whole and whose weights are those that it describes.

    Raises:
        InputError: one is cut, garbled or missing, or they do not belong together.
    """
    from transformers import AutoConfig

    damaged = damaged_file(name)
    if damaged:
        raise InputError(f"The model {name} could not be loaded: {damaged} Copy the folder again.")
    with reading(name, "The configuration of"):
        config = load_pretrained(AutoConfig, name, {"revision": revision})
    problem = weights_problem(Path(name), config)
    if problem:
        raise InputError(f"The model {name} could not be loaded: {problem}. {MEND}")
    return config


def require_image_token(name: str, config: Any, processor: Any) -> None:
    """Nothing where the token that the model takes for a picture's is one that the processor writes.

    Raises:
        InputError: it is another.
    """
    expected = getattr(config, "image_token_id", None)
    if not isinstance(expected, int):
        return
    with reading(name, "The tokenizer of"):
        written = _image_tokens(processor)
        token = str(processor.tokenizer.convert_ids_to_tokens(expected))
    if re.search("image|img|patch", token, re.IGNORECASE):
        return  # Gemma 3's processor has its mark of a picture's begin under the name of its image token
    if written and expected not in written.values():
        told = ", ".join(f"{token} is {number}" for token, number in written.items())
        raise InputError(
            f"{name}: config.json takes token {expected} for that of a picture (image_token_id), but the processor "
            f"writes another: {told}. Write that number into config.json, or copy the folder again."
        )


def _image_tokens(processor: Any) -> dict[str, int]:
    """Numbers of the tokens that a processor and its tokenizer name as an image's."""
    found: dict[str, int] = {}
    for holder in (processor, processor.tokenizer):
        for name in dir(holder):
            value = getattr(holder, name, None) if _OF_IMAGE.fullmatch(name) else None
            number = processor.tokenizer.convert_tokens_to_ids(str(value)) if isinstance(value, str) else value
            if isinstance(number, int) and number != processor.tokenizer.unk_token_id:
                found[str(value) if isinstance(value, str) else name] = number
    return found


def why_unreadable(folder: str, error: Exception) -> str:
    """What is wrong with a folder in a line: its damaged file, else what was raised."""
    damaged = damaged_file(folder)
    if damaged:
        return f"{damaged} Copy the folder again."
    unfit = loading_problem(Path(folder)) if is_misfit(error) else ""
    if unfit:
        return f"{unfit}. {MEND}"
    said = " ".join(str(error).split())
    said = said if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {said}"
    said = f"{said[:SHOWN].rstrip('.')}{'...' if len(said) > SHOWN else '.'}"
    if Path(folder).is_dir() and not isinstance(error, OSError):
        said += " A setting of another kind than expected stands in one of its .json files."
    return said


def is_misfit(error: Exception) -> bool:
    """Whether transformers (5.24) says that weights have other shapes than the model."""
    return isinstance(error, RuntimeError) and "ignore_mismatched_sizes" in str(error)


def damaged_file(folder: str) -> str:
    """The first file of a folder that is cut or garbled, and how it shows; empty where none is, or for a Hub id."""
    for name in SETTINGS:
        path = Path(folder, name)
        if path.is_file() and (problem := _settings_problem(path)):
            return f"{name} {problem}."
    for name in (INDEX, PICKLED_INDEX):
        index = Path(folder, name)
        if index.is_file() and (problem := index_problem(index)):
            return f"{name} {problem}."
    for path in sorted(Path(folder).glob("*.safetensors")):
        if problem := _weights_problem(path):
            return f"{path.name} {problem}."
    return ""


def require_settings(path: Path) -> dict[str, Any]:
    """The object in a file of settings.

    Raises:
        InputError: it is cut, garbled or no object.
    """
    problem = _settings_problem(path)
    if problem:
        raise InputError(f"{path.parent}: {path.name} {problem}. Copy the folder again.")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _settings_problem(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return f"is no whole JSON ({str(error)[:100]})"
    if isinstance(found, dict) and path.name == "config.json":
        for part in SECTIONS & found.keys():
            if not isinstance(found[part], dict):
                return f"is expected to hold an object of settings at {part}, but holds {json.dumps(found[part])[:40]}"
    return "" if isinstance(found, dict) else f"is expected to hold an object of settings, but holds {str(found)[:40]}"


def _weights_problem(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt"):
            return ""
    except (OSError, SafetensorError) as error:
        return f"is no whole file of weights ({str(error)[:100]})"
