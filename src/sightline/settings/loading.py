"""Options of loading a model: revision, precision, device, processor, chat template; checked without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.config import place
from sightline.errors import ConfigError, InputError, near, nearest
from sightline.settings.early import require_packages
from sightline.values import read_mapping

AUTO, PLAIN = "auto", "plain"
AT_SERVER = "a model at a server is loaded there, by whoever runs it. Leave it out."
OF_VILT = "a ViLT is loaded whole in its own precision, with its own processor. Leave it out; it takes --device alone."
DTYPES = (AUTO, "bfloat16", "float16", "float32")
DEVICES = ("cpu", "cuda", "mps", "xpu")
ATTENTIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")
QUANT_TYPES = ("nf4", "fp4")
# Settings of processors that have a flag of their own; any other one stands in `processor`.
PROCESSOR_FLAGS = (
    "min_pixels", "max_pixels", "size", "image_size", "max_patches", "max_image_tokens", "do_image_splitting",
)  # fmt: skip
_NUMBERED = re.compile(r"(cuda|xpu):(\d+)")


@dataclass(frozen=True)
class LoadingOptions:
    """How a model is loaded, by the names that TRL has for it where TRL has one; the defaults are the model's own.

    Attributes:
        model_revision: branch, tag or commit of a Hub id.
        dtype: of the weights: bfloat16, float16, float32, or auto for the checkpoint's own.
        attn_implementation: eager, sdpa, flash_attention_2, ...; transformers' choice by default.
        load_in_4bit: round linear layers to 4 bits (bitsandbytes).
        load_in_8bit: round linear layers to 8 bits (bitsandbytes).
        bnb_4bit_quant_type: the 16 values of 4 bits, nf4 or fp4.
        use_bnb_nested_quant: round the scales of 4 bits, too.
        bnb_4bit_quant_storage: dtype that 4-bit weights are kept in, which shards by FSDP want alike; uint8 by default.
        device: cpu, cuda, cuda:N, mps, xpu or xpu:N; the first GPU where there is one, else the CPU, by default.
        device_map: auto spreads the layers over all GPUs, and over the CPU what they do not hold.
        tokenizer: folder or Hub id of a tokenizer, for checkpoints that carry none.
        chat_template: file of a chat template (jinja), or `plain`: pictures and words alone, for models without one.
        processor: settings of the model's processor, by the processor's own names.
    """

    model_revision: str | None = None
    dtype: str = AUTO
    attn_implementation: str | None = None
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: str = "nf4"
    use_bnb_nested_quant: bool = False
    bnb_4bit_quant_storage: str | None = None
    device: str | None = None
    device_map: str | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    processor: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_choice("dtype", self.dtype, DTYPES)
        _check_choice("bnb_4bit_quant_type", self.bnb_4bit_quant_type, QUANT_TYPES)
        _check_device(self.device)
        attention = self.attn_implementation
        if attention is not None and not {"/", "|"} & set(attention):  # a kernel of the Hub, or a paged variant
            _check_choice("attn_implementation", attention, ATTENTIONS)
        if self.device_map is not None:
            _check_choice("device_map", self.device_map, (AUTO,))
        if self.load_in_4bit and self.load_in_8bit:
            raise ConfigError("load_in_4bit and load_in_8bit exclude each other: weights are rounded once. Keep one.")
        if self.device is not None and self.device_map is not None:
            raise ConfigError("device and device_map exclude each other: one device, or all of them. Keep one.")
        given = {name: getattr(self, name) for name in ("load_in_4bit", "load_in_8bit", "attn_implementation")}
        require_packages(given, "loading options")

    @property
    def is_quantizing(self) -> bool:
        """Whether weights are rounded while they are loaded."""
        return self.load_in_4bit or self.load_in_8bit

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults, for records."""
        plain = LoadingOptions()
        return {name: value for name, value in vars(self).items() if value != getattr(plain, name)}

    def refuse(self, because: str, but: Sequence[str] = ()) -> None:
        """Nothing where no option is given, `but` those.

        Raises:
            ConfigError: one is; its message names it and ends in `because`.
        """
        given = [name for name in self.given if name not in but]
        names = [one for name in given for one in (self.processor if name == "processor" else (name,))]
        if names:
            raise ConfigError(f"{', '.join(names)}: {because}")


def options_of(given: Mapping[str, Any]) -> LoadingOptions:
    """The record of what was given under the names of its fields, flags of processors and `processor_settings`.

    Raises:
        ConfigError: a value is none of those that an option takes, or two exclude each other.
    """
    flags = {name: _read(name, given.get(name)) for name in PROCESSOR_FLAGS}
    settings = joined_settings(flags, read_processor_settings(given.get("processor_settings")))
    others = {*PROCESSOR_FLAGS, "processor_settings"}
    return LoadingOptions(**{name: value for name, value in given.items() if name not in others}, processor=settings)


def _read(name: str, value: Any) -> Any:
    """A setting that is written as a text, as YAML reads it: a number, a mapping, or true and false."""
    return read_processor_settings(f"{name}={value}")[name] if isinstance(value, str) else value


def read_processor_settings(text: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of `max_patches=6,do_resize=false`, or of a mapping as JSON or YAML writes it.

    Raises:
        ConfigError: it is neither.
    """
    if not text:
        return {}
    if isinstance(text, Mapping):
        return dict(text)
    written = text.strip()
    if not written.startswith("{"):
        written = "{" + re.sub(r"(^|,)(\s*\w+)\s*=", r"\1\2: ", written) + "}"
    try:
        found = read_mapping(written)
    except (ValueError, TypeError):
        found = {"": None}
    if None in found.values():  # a name alone, too
        raise ConfigError(
            f"processor_settings: expected name=value with commas between them, such as max_patches=6,do_resize=false, "
            f"or a mapping; got {text[:80]!r}."
        )
    return found


def joined_settings(flags: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of processors that were given by flags of their own and in `processor_settings`.

    Raises:
        ConfigError: one was given twice, with two values.
    """
    own = {name: value for name, value in flags.items() if value is not None}
    for name in own.keys() & others.keys():
        if own[name] != others[name]:
            raise ConfigError(
                f"{name}: expected one value, got {own[name]!r}, and {others[name]!r} in processor_settings. Drop one."
            )
    return {**own, **others}


def read_template(given: str) -> str:
    """The chat template in a file.

    Raises:
        InputError: there is no such file, or it holds no text.
    """
    path = Path(place(given, "chat_template"))
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise InputError(
            f"chat_template: expected a file with a jinja template, or {PLAIN}; {path} is {what}. "
            f"{near(str(path))}".strip()
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"chat_template: {path} is not UTF-8 text ({error}). It is a file of jinja.") from error
    if not text.strip():
        raise InputError(f"chat_template: {path} is empty. Write a jinja template into it, or leave the option out.")
    return text


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        hint = nearest(str(value), known)
        raise ConfigError(f"{name}: expected {_either(known)}; got {str(value)[:40]!r}. {hint}".strip())


def _check_device(device: str | None) -> None:
    if device is not None and device not in DEVICES and not _NUMBERED.fullmatch(device):
        raise ConfigError(
            f"device: expected cpu, cuda, cuda:N, mps, xpu or xpu:N; got {device[:40]!r}. {nearest(device, DEVICES)}"
        )


def _either(known: Sequence[str]) -> str:
    return known[0] if len(known) == 1 else f"one of {', '.join(known)}"
