"""The options of loading a model, for every command that loads one: one decorator adds them and reads them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import typer

from sightline.cli.settings_help import SWITCH, one_of
from sightline.settings.loading import (
    ATTENTIONS,
    AUTO,
    DEVICES,
    DTYPES,
    PLAIN,
    options_of,
)

LOADING = "Loading the model"  # the heading of these options in help texts


def loads_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with an option for each of `LoadingOptions` in the place of its parameter `loading`, which it gets
    filled in; Typer reads the signature."""
    own = inspect.signature(command, eval_str=True)
    added = inspect.signature(_options, eval_str=True).parameters

    @functools.wraps(command)
    def run(*args: Any, **given: Any) -> Any:
        chosen = {name: given.pop(name) for name in added if name in given}
        return command(*args, **given, loading=options_of(chosen))

    parameters = []
    for parameter in own.parameters.values():
        parameters += list(added.values()) if parameter.name == "loading" else [parameter]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _option(default: Any, flag: str, meaning: str, *values: str) -> Any:
    """One of them, below their heading, with the values that a shell offers."""
    completion = one_of(*values) if values else None
    return typer.Option(default, flag, help=meaning, rich_help_panel=LOADING, autocompletion=completion)


def _options(
    model_revision: str | None = _option(None, "--model_revision", "Branch, tag or commit of a Hub id."),
    dtype: str = _option(AUTO, "--dtype", "Of the weights: bfloat16, float16, float32; auto: their own.", *DTYPES),
    attn_implementation: str | None = _option(None, "--attn_implementation", "eager, sdpa, ...", *ATTENTIONS),
    load_in_4bit: bool = _option(False, "--load_in_4bit", "Round the weights to 4 bits (bitsandbytes)."),
    load_in_8bit: bool = _option(False, "--load_in_8bit", "Round the weights to 8 bits (bitsandbytes)."),
    device: str | None = _option(None, "--device", "cpu, cuda, cuda:N, mps or xpu; default: GPU, else CPU.", *DEVICES),
    device_map: str | None = _option(None, "--device_map", "auto: spread over all GPUs, and the CPU.", AUTO),
    tokenizer: str | None = _option(None, "--tokenizer", "Folder of a tokenizer, for checkpoints without one."),
    chat_template: str | None = _option(None, "--chat_template", "File (jinja), or plain: words alone.", PLAIN),
    min_pixels: int | None = _option(None, "--min_pixels", "Processor: fewest pixels of a picture."),
    max_pixels: int | None = _option(None, "--max_pixels", "Processor: most pixels of a picture."),
    size: str | None = _option(None, "--size", "Processor: a side, or {height: 448, width: 448}."),
    image_size: int | None = _option(None, "--image_size", "Processor: a side, where it is called so."),
    max_patches: int | None = _option(None, "--max_patches", "Processor: most tiles of a picture."),
    max_image_tokens: int | None = _option(None, "--max_image_tokens", "Processor: most tokens of a picture."),
    do_image_splitting: str | None = _option(None, "--do_image_splitting", "Processor: true or false.", *SWITCH),
    processor_settings: str | None = _option(None, "--processor_settings", "Others of it: do_resize=false,..."),
) -> None:
    """The options, in the order of the help; `loads_model` gives them to a command."""
