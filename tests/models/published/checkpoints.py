"""Tiny checkpoints in the layouts of authors: a byte-level tokenizer, renamed weights, shards of either kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def byte_tokenizer(*specials: str, bos: str = "<s>", eos: str = "</s>") -> PreTrainedTokenizerFast:
    """One token a byte, with a start token in front of each text, as Llama's: any text can be read and told again."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<unk>", bos, eos, *specials, *alphabet]
    raw = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(name, normalized=False) for name in names[: 3 + len(specials)]])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", bos_token=bos, eos_token=eos)


def renamed(tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Tensors under the names of authors: the first prefix of `names` that fits is changed for its value."""
    found = {}
    for name, tensor in tensors.items():
        own, theirs = next(((a, b) for a, b in names.items() if name.startswith(a)), ("", ""))
        found[theirs + name.removeprefix(own)] = tensor.detach().contiguous()
    return found


def write_weights(folder: Path, tensors: dict[str, torch.Tensor], pickled: bool = False, shards: int = 1) -> None:
    """Write weights as one file, or as shards with an index."""
    stem, suffix = ("pytorch_model", ".bin") if pickled else ("model", ".safetensors")
    names = sorted(tensors)
    if shards == 1:
        _save(tensors, folder / f"{stem}{suffix}")
        return
    weight_map = {}
    for shard in range(shards):
        file = f"{stem}-{shard + 1:05d}-of-{shards:05d}{suffix}"
        part = {name: tensors[name] for name in names[shard::shards]}
        _save(part, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"format": "pt"})


def write_config(folder: Path, **settings: Any) -> None:
    """config.json with these settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
