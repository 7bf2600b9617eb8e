"""Short hashes of what results depend on: weights, settings, processor, precision, versions."""

from __future__ import annotations

import enum
import hashlib
import importlib.metadata
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sightline.data.sources.file_signatures import encoding_version

PIXEL_PACKAGES = ("pillow", "torchvision", "transformers")  # a new version may resize or normalise differently

# All settings count but these, which change no value: names and places, what only says how a model was made or what it
# returns, and what is known better from the weights themselves (their dtype).
IDLE_SETTINGS = frozenset(
    {
        "_name_or_path", "name_or_path", "base_model_name_or_path", "revision", "_commit_hash", "auto_mapping",
        "transformers_version", "peft_version", "architectures", "processor_class", "tokenizer_class", "tokenizer_file",
        "vocab_file", "merges_file", "special_tokens_map_file", "cache_dir", "local_files_only", "is_local", "backend",
        "dtype", "torch_dtype", "use_cache", "output_attentions", "output_hidden_states", "return_dict", "loss_type",
        "gradient_checkpointing", "training", "inference_mode", "padding_side", "max_seq_len_cached",
        "_from_model_config", "pad_token_id", "bos_token_id", "eos_token_id", "hf_device_map",
    }
)  # fmt: skip
_SET_WHEN_ASKED = frozenset(
    {
        "do_sample", "num_beams", "temperature", "top_p", "top_k", "max_length", "max_new_tokens", "eos_token_id",
        "repetition_penalty",
    }
)  # fmt: skip
_PLAIN = (bool, int, float, str, type(None))


def fingerprint(*parts: Any) -> str:
    """A short hash of parts that JSON can write, 128 bits, hexadecimal."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def stored_under(*parts: Any) -> str:
    """The key of what is kept between runs: of the parts, and of the version of our own encoding."""
    return fingerprint(encoding_version(), *parts)


def model_fingerprint(model: Any, left_out: Collection[Any] = (), adapters: Collection[str] = ()) -> str:
    """A hash of all that decides what a model makes of its inputs: its weights and its settings."""
    return fingerprint(weights_fingerprint(model, left_out, adapters), settings_fingerprint(model, left_out, adapters))


def settings_fingerprint(model: Any, left_out: Collection[Any] = (), adapters: Collection[str] = ()) -> str:
    """A hash of what decides beside the weights: config, classes and settings of all modules, buffers not saved.

    Args:
        model: the transformers model, with an adapter's layers inside it but without PEFT's wrapper.
        left_out: modules that do not count.
        adapters: names of PEFT adapters that do not count.
    """
    settings = config_settings(model.config, [getattr(part, "config", None) for part in left_out])
    return fingerprint(settings, list(_module_settings(model, left_out, adapters)))


def weights_fingerprint(module: Any, left_out: Collection[Any] = (), adapters: Collection[str] = ()) -> str:
    """A hash of the names, types and values of a module's parameters and buffers.

    Args:
        left_out: modules whose tensors do not count.
        adapters: names of PEFT adapters whose tensors do not count. What remains has the names that it has without
            PEFT's wrappers, so that a model and the frozen base of an adapter have one hash.
    """
    skipped = {address(tensor) for part in left_out for tensor in part.state_dict().values()}
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(_plain_names(module, adapters).items()):
        if address(tensor) in skipped and tensor.numel():
            continue
        for about, part in plain_parts(tensor):
            digest.update(f"{name}{about} {part.dtype} {tuple(part.shape)}".encode())
            digest.update(_bytes_of(part))
    return digest.hexdigest()


def plain_parts(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The tensors that hold a tensor's values, each with words on what it is to them: a plain tensor itself, with no
    word; of a quantised weight (torchao's) its integers, scales and zero points, which know no operation as one."""
    if not is_traceable_wrapper_subclass(tensor):
        yield "", tensor.detach()
        return
    names, settings = tensor.__tensor_flatten__()
    for inner in names:
        for about, part in plain_parts(getattr(tensor, inner)):
            yield f" {type(tensor).__name__} {settings} {inner}{about}", part


def address(tensor: Tensor) -> int:
    """Where a tensor's values lie; of a quantised weight those of its first part."""
    return next((part.data_ptr() for _, part in plain_parts(tensor)), 0)


def config_settings(config: Any, left_out: Collection[Any] = ()) -> dict[str, Any]:
    """All settings of a model's config, in the types of JSON, but `IDLE_SETTINGS`; and each part's attention.

    Attention counts, since it may change more than rounding: SDPA knows no cap on attention logits, for example. That
    of parts whose configs are left out does not.
    """
    settings: dict[str, Any] = plain_settings(config.to_dict())
    skipped = {id(part) for part in left_out if part is not None}
    return {
        **settings,
        "attention": {name: kind for name, kind, part in _attention_of(config) if id(part) not in skipped},
    }


def adapter_settings(model: Any) -> dict[str, Any]:
    """The settings of each PEFT adapter of a model but `IDLE_SETTINGS`, and the adapters in use; empty without any."""
    configs: Mapping[str, Any] = getattr(model, "peft_config", None) or {}
    if not configs:
        return {}
    own = {name: plain_settings(config.to_dict()) for name, config in configs.items()}
    return {**own, "active": list(getattr(model, "active_adapters", ()) or ())}


def generation_settings(model: Any) -> dict[str, Any]:
    """The model's own settings of generation, without those that asking greedily sets or tells elsewhere."""
    config = getattr(model, "generation_config", None)
    own: dict[str, Any] = {} if config is None else plain_settings(config.to_dict())
    return {name: value for name, value in own.items() if name not in _SET_WHEN_ASKED and value is not None}


def processor_fingerprint(processor: Any) -> str:
    """A hash of what turns pictures and texts into a model's inputs, tokenizer apart: classes, settings, packages."""
    versions = {name: importlib.metadata.version(name) for name in PIXEL_PACKAGES}
    kinds = [type(processor).__qualname__, type(processor.image_processor).__qualname__]
    return fingerprint(kinds, processor_settings(processor), versions)


def processor_settings(processor: Any) -> dict[str, Any]:
    """The settings of the image processor, and beside them those of the processor around it."""
    own = {name: value for name, value in processor.to_dict().items() if name != "image_processor"}
    return plain_settings({**own, **processor.image_processor.to_dict()})


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A hash of how texts become tokens and tokens texts: vocabulary, merges, normalising, special tokens, settings."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules = json.dumps(sorted(tokenizer.get_vocab().items()))
    else:
        text = backend.to_str()
        rules = text[text.index('"added_tokens"') :]  # before it stand padding and truncation, which each call sets
    digest = hashlib.blake2b(rules.encode(), digest_size=16).hexdigest()
    settings = {name: value for name, value in tokenizer.init_kwargs.items() if name != "chat_template"}
    return fingerprint(type(tokenizer).__qualname__, digest, plain_settings(settings), tokenizer.special_tokens_map)


def is_adapted(module: nn.Module) -> bool:
    """Whether PEFT wraps the module."""
    return "base_layer" in module._modules or "original_module" in module._modules


def plain_settings(value: Any) -> Any:
    """A setting in the types of JSON, in mappings without `IDLE_SETTINGS`."""
    if isinstance(value, Mapping):
        return {str(name): plain_settings(item) for name, item in value.items() if name not in IDLE_SETTINGS}
    if isinstance(value, list | tuple):
        return [plain_settings(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, enum.Enum):
        return plain_settings(value.value)
    return value if isinstance(value, _PLAIN) else str(value)


def _attention_of(config: Any, name: str = "") -> Iterator[tuple[str, str, Any]]:
    yield name, str(getattr(config, "_attn_implementation", None)), config
    for part in getattr(config, "sub_configs", None) or ():
        inner = getattr(config, part, None)
        if inner is not None:
            yield from _attention_of(inner, f"{name}.{part}".lstrip("."))


def _module_settings(model: Any, left_out: Collection[Any], adapters: Collection[str]) -> Iterator[tuple[Any, ...]]:
    """For each module its name, class and plain attributes, by name: what is neither in the weights nor in the config,
    such as the scaling of an adapter's layer, an epsilon that was set by hand, buffers that are not saved."""
    inside = {id(module) for part in left_out for module in part.modules()}
    for name, module in sorted(model.named_modules()):
        if id(module) in inside or isinstance(module, nn.ModuleDict | nn.ParameterDict | nn.ModuleList):
            continue
        if any(adapter in name.split(".") for adapter in adapters):
            continue
        wraps = is_adapted(module)
        own = dict(_attributes(module, adapters)) if not wraps or _counts(module, adapters) else {}
        if not wraps or own:
            kind = f"wrapped {type(module).__qualname__}" if wraps else type(module).__qualname__
            yield _plain_name(name), kind, own


def _counts(wrapper: Any, adapters: Collection[str]) -> bool:
    """Whether a layer that PEFT wrapped has an adapter that counts."""
    named = {name for child in wrapper._modules.values() if isinstance(child, nn.ModuleDict) for name in child}
    return bool(named - set(adapters))


def _attributes(module: Any, adapters: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        if name in IDLE_SETTINGS or (name.startswith("_") and name not in ("_disable_adapters", "_active_adapter")):
            continue
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if key not in adapters and isinstance(item, _PLAIN)}
            if value:
                yield name, value
        elif isinstance(value, _PLAIN) or (
            isinstance(value, list | tuple) and all(isinstance(item, _PLAIN) for item in value)
        ):
            yield name, value
    for name in module._non_persistent_buffers_set:
        buffer = module._buffers.get(name)
        if buffer is not None and name not in IDLE_SETTINGS:
            yield name, hashlib.blake2b(_bytes_of(buffer), digest_size=16).hexdigest()


def _bytes_of(tensor: torch.Tensor) -> Any:
    return tensor.detach().reshape(-1).contiguous().cpu().view(torch.uint8).numpy().data


def _plain_names(module: Any, adapters: Collection[str]) -> dict[str, torch.Tensor]:
    return {
        _plain_name(name): tensor
        for name, tensor in module.state_dict().items()
        if not any(adapter in name.split(".") for adapter in adapters)
    }


def _plain_name(name: str) -> str:
    """A name as it is without PEFT's wrappers."""
    plain = f"{name}.".removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", ".")
    return plain.removesuffix(".")
