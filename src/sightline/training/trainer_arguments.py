"""Accept trainer arguments in TRL's order or by name, under today's names or those of 2024."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from sightline.errors import ConfigError, nearest
from sightline.settings.spellings import ARGUMENTS_RENAMED, say_todays, todays_settings


def takes_arguments_of(trl_trainer: type, config_class: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For an `__init__`: it is called by name, however the script gave what TRL's trainer takes.

    Settings that older trainers took beside `args` go into `args`, and `TrainingArguments` become a `config_class`.
    """
    signature = inspect.signature(trl_trainer.__init__)  # type: ignore[misc]

    def around(init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def __init__(self: Any, *positional: Any, **named: Any) -> None:
            init(self, **_todays_arguments(type(self), signature, config_class, positional, named))

        __init__.__signature__ = signature  # type: ignore[attr-defined]
        return __init__

    return around


def _todays_arguments(
    trainer: type, signature: inspect.Signature, config_class: type, positional: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    names = list(signature.parameters)[1:]
    if len(positional) > len(names):
        raise TypeError(f"{trainer.__name__} takes {len(names)} arguments, {len(positional)} were given")
    arguments = dict(zip(names, positional, strict=False))
    lines = []
    for old, today in ARGUMENTS_RENAMED.items():
        if old in named:
            if named.get(today) is not None:
                raise ConfigError(f"{old}: expected {today} alone, its name today; got both. Drop {old}.")
            named[today] = named.pop(old)
            lines.append(f"{old} is {today} today")
    twice = next((name for name in named if name in arguments), None)
    if twice is not None:
        raise TypeError(f"{trainer.__name__} got multiple values for argument '{twice}'")
    arguments |= {name: value for name, value in named.items() if name in names}
    beside = {name: value for name, value in named.items() if name not in names}
    known = {field.name for field in fields(config_class) if field.init}
    todays = todays_settings(beside, known, trainer.__name__)
    unknown = next((name for name in todays.settings if name not in known), None)
    if unknown is not None:
        hint = nearest(unknown, {*names, *known}) or "See TRL's documentation for its arguments."
        raise TypeError(f"{trainer.__name__} got an unexpected keyword argument '{unknown}'. {hint}")
    lines += [
        *todays.lines,
        *(f"{name} is a setting of {config_class.__name__} today" for name in beside if name in known),
    ]
    args = _config(config_class, arguments.get("args"), todays.settings, arguments.get("model"))
    if isinstance(arguments.get("args"), TrainingArguments) and args is not arguments["args"] and not beside:
        lines.append(f"args are {config_class.__name__} today")
    say_todays(lines)
    return {**arguments, "args": args}


def _config(config_class: type, args: Any, moved: dict[str, Any], model: Any) -> Any:
    """`args` with the settings that stood beside it."""
    trls = next(kind for kind in config_class.__mro__ if kind.__module__.startswith("trl."))
    if not moved and (isinstance(args, trls) or not isinstance(args, TrainingArguments)):
        return args
    if args is None:
        name = model if isinstance(model, str) else model.config._name_or_path or model.config.model_type
        return config_class(output_dir=f"{Path(name).name}-{config_class.__name__.removesuffix('Config')}", **moved)
    kind = type(args) if isinstance(args, trls) else config_class
    taken = {field.name for field in fields(kind) if field.init}
    # Not `to_dict`, which hides every token and secret.
    settings = {field.name: getattr(args, field.name) for field in fields(args) if field.name in taken}
    return kind(**{**settings, **moved})
