"""Round weights to 4 or 8 bits while they are loaded, with bitsandbytes."""

from __future__ import annotations

from typing import Any

from sightline.errors import ConfigError, MachineError
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
    stored = getattr(config, "quantization_config", None)
    if options.is_quantizing and stored:
        method = method_of(stored)
        raise ConfigError(
            f"load_in_4bit, load_in_8bit: the weights of {name} are quantized already ({method}). Leave the option out."
        )


def method_of(stored: Any) -> str:
    """What a config's `quantization_config` says that weights were rounded by."""
    settings = stored if isinstance(stored, dict) else stored.to_dict()
    method = settings.get("quant_method")
    return str(getattr(method, "value", method) or "unknown")
