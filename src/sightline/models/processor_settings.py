"""Set what a processor does with pictures, by its own names; a name that it has not is refused."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sightline.data.encoding.plain_template import plain_template
from sightline.data.encoding.processors import layout_of
from sightline.errors import ConfigError, nearest
from sightline.models.folders import reading, require_picture_settings
from sightline.models.guarded import quiet_loading
from sightline.models.pretrained import load_pretrained
from sightline.models.published.table import recognise
from sightline.models.tokenizers import load_with_tokenizer
from sightline.settings.loading import PLAIN, LoadingOptions, read_template

_NO_SETTINGS = frozenset({"image_processor_type", "processor_class", "return_tensors", "device", "data_format"})


def read_processor(name: str, revision: str | None, options: LoadingOptions) -> Any:
    """What `AutoProcessor` makes of a folder or Hub id, with the tokenizer that the options bring, not yet fitted.

    Raises:
        InputError: there is no such tokenizer.
        OSError, ValueError: as transformers raises them.
    """
    from transformers import AutoProcessor

    if options.tokenizer is None:
        return load_pretrained(AutoProcessor, name, {"revision": revision})
    if recognise(name, revision) is None:
        return load_with_tokenizer(name, revision, options.tokenizer)
    return load_pretrained(AutoProcessor, name, {"revision": revision, "tokenizer": options.tokenizer})


def fitted_processor(processor: Any, options: LoadingOptions, name: str) -> Any:
    """The processor of the model `name` with the settings and the chat template that the options name.

    Raises:
        InputError: it lacks a setting, or there is no such template.
    """
    processor = with_settings(processor, options.processor, name)
    if options.chat_template is not None:
        is_plain = options.chat_template == PLAIN
        processor.chat_template = plain_template(processor) if is_plain else read_template(options.chat_template)
    elif layout_of(processor).is_base and not (processor.chat_template or processor.tokenizer.chat_template):
        processor.chat_template = plain_template(processor)
    return processor


def with_settings(processor: Any, settings: Mapping[str, Any], name: str) -> Any:
    """The processor of the model `name` with other settings of its own: its image processor's, or those around it.

    Raises:
        ConfigError: it has no setting of a name, whose message names those it has, or takes no such value.
    """
    if not settings:
        return processor
    of_images, around = _image_settings(processor.image_processor), _own_settings(processor)
    for one in settings:
        if one not in of_images and one not in around:
            known = sorted({*of_images, *around})
            raise ConfigError(
                f"{one}: the processor of {name} ({type(processor).__name__}) has no such setting; it has "
                f"{', '.join(known)}. {nearest(one, known)}".strip()
            )
    told = ", ".join(f"{one} {value}" for one, value in settings.items())
    with reading(name, "The processor of", f"It was given {told}."), quiet_loading():
        parts = {part: getattr(processor, part) for part in processor.get_attributes()}
        given = {one: value for one, value in settings.items() if one in of_images}
        parts["image_processor"] = type(processor.image_processor)(**{**processor.image_processor.to_dict(), **given})
        others = {one: value for one, value in settings.items() if one not in of_images}
        renewed = type(processor)(**{**around, **parts, **others, "chat_template": processor.chat_template})
    require_picture_settings(name, renewed)
    return renewed


def _image_settings(image_processor: Any) -> set[str]:
    """Names of what an image processor can be told: what it has a value for, and what its class adds to others'."""
    from transformers.processing_utils import ImagesKwargs

    told = getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", {})
    return {*image_processor.to_dict(), *(set(told) - set(ImagesKwargs.__annotations__))} - _NO_SETTINGS


def _own_settings(processor: Any) -> dict[str, Any]:
    """The settings of a processor itself that its class can be made with; words of the tokenizer are none."""
    taken = inspect.signature(type(processor).__init__).parameters
    own = {one: value for one, value in processor.to_dict().items() if one in taken and one not in _NO_SETTINGS}
    return {one: value for one, value in own.items() if not isinstance(value, Mapping) and not one.endswith("_token")}
