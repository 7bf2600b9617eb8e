"""Load weights of few bits: rounded by bitsandbytes while they are loaded, or quantized in the folder already."""

from __future__ import annotations

import copy
from typing import Any

from sightline.errors import ConfigError, InputError, MachineError
from sightline.models.guarded import quiet_loading
from sightline.settings.loading import AUTO, LoadingOptions

FULL = "float32"


def quantization_of(options: LoadingOptions, own_dtype: Any = None) -> Any:
    """transformers' settings for the rounding that the options ask for; None where they ask for none.

    Args:
        own_dtype: the checkpoint's, which is computed in where the options say auto.

    Raises:
        MachineError: bitsandbytes does not load.
    """
    if not options.is_quantizing:
        return None
    from transformers import BitsAndBytesConfig

    keep_cpu_weights_as_they_are()
    if options.load_in_8bit:
        return BitsAndBytesConfig(load_in_8bit=True)
    dtype = str(own_dtype or FULL).removeprefix("torch.") if options.dtype == AUTO else options.dtype
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type=options.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=options.use_bnb_nested_quant,
        bnb_4bit_quant_storage=options.bnb_4bit_quant_storage,
    )


def keep_cpu_weights_as_they_are() -> None:
    """Lets bitsandbytes compute on the CPU with 4-bit weights as they were rounded; calling it again changes nothing.

    Version 0.50 packs a layer anew the first time that it computes without gradients on a CPU with AVX512-BF16: its
    scales are rounded once more, to bfloat16, all is computed in bfloat16, and layers whose sizes are no multiples of
    64 and 32 fail (SigLIP's have 4304). Delete this when it asks for the sizes and keeps the scales.

    Raises:
        MachineError: bitsandbytes does not load.
    """
    try:
        from bitsandbytes.nn import modules
    except Exception as error:  # its own libraries, of another CUDA or another torch
        raise MachineError(
            f"load_in_4bit, load_in_8bit: bitsandbytes could not be loaded ({str(error)[:200]}). "
            "Run `pip install 'sightline[quantized]'`, or leave the option out."
        ) from error
    modules.has_avx512bf16 = lambda: False


def require_unquantized(name: str, config: Any, options: LoadingOptions) -> None:
    """Nothing where the weights to be rounded are not rounded already.

    Raises:
        ConfigError: they are.
    """
    method = method_of(config)
    if options.is_quantizing and method:
        raise ConfigError(
            f"load_in_4bit, load_in_8bit: the weights of {name} are quantized already ({method}). Leave the option out."
        )


def method_of(config: Any) -> str:
    """What a config says that the weights were quantized by, itself or its part of texts; empty where they were not."""
    settings = _stored(config)
    method = settings.get("quant_method")
    return str(getattr(method, "value", method) or "by an unknown method") if settings else ""


def _stored(config: Any) -> dict[str, Any]:
    """The `quantization_config` of a config, empty where it has none."""
    if config is None:
        return {}
    of_texts = config.get_text_config(decoder=True)
    found = getattr(config, "quantization_config", None) or getattr(of_texts, "quantization_config", None)
    return found if isinstance(found, dict) else found.to_dict() if found is not None else {}


def require_quantizer(name: str, config: Any, device: str | None) -> None:
    """Nothing where transformers and this machine can compute with the weights of a folder that are quantized already
    (AWQ, GPTQ, FP8, compressed-tensors, ...), or where they are not.

    Args:
        device: where the model will lie; None where it is spread.

    Raises:
        InputError: transformers knows no such method, or its settings cannot be read.
        MachineError: a package or a device is missing.
    """
    settings = _stored(config)
    if not settings:
        return
    from transformers.quantizers import AutoHfQuantizer, AutoQuantizationConfig
    from transformers.quantizers.auto import get_hf_quantizer

    what = f"The weights of {name} are quantized ({method_of(config)})"
    try:
        with quiet_loading():
            known = AutoHfQuantizer.supports_quant_method(settings)
            if known:
                AutoQuantizationConfig.from_dict(dict(settings))
    except ImportError as error:
        raise MachineError(f"{what}, which needs more than is here: {_line(error)}.") from error
    except Exception as error:  # transformers checks little of what it reads
        raise InputError(
            f"{what}, but quantization_config in config.json cannot be read: {_line(error)}. Copy the folder again."
        ) from error
    if not known:
        raise InputError(f"{what}, which transformers does not know. Name the model in full precision.")
    if method_of(config) == "bitsandbytes":
        keep_cpu_weights_as_they_are()
    device_map = None if device is None else {"": device}
    try:
        with quiet_loading():
            get_hf_quantizer(copy.deepcopy(config), None, device_map, weights_only=True, user_agent={})
    except Exception as error:  # a package, a device or a version, each by another exception
        raise MachineError(f"{what}, which needs more than is here: {_line(error)}.") from error


def _line(error: Exception) -> str:
    return (" ".join(str(error).split())[:300] or type(error).__name__).rstrip(".")
