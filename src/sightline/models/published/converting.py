"""Write a published checkpoint anew as safetensors in the layout of its class, a few gigabytes at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

from sightline.errors import InputError, RunFolderError
from sightline.models.adapter_folders import Base
from sightline.models.folders import damaged_file
from sightline.models.merged_folder import licence_files
from sightline.models.published.folder import Folder, opened_weights, weight_shapes
from sightline.models.published.layout import MEND, Conversion, Parts, generation_of
from sightline.models.published.table import LAYOUTS, recognise
from sightline.models.stored_weights import INDEX, give_usual_rights
from sightline.progress import tracked
from sightline.runs import write_text

BEGUN = "converting.json"  # stands in a folder that is not finished, which has no config.json
SHARD = 2_000_000_000  # weights at most in a file of several: 4 GB in 16 bits


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        out: the folder.
        tensors: how many.
        size: their bytes.
        shards: files of weights.
        kept: of which that many were there from a conversion that was interrupted.
    """

    out: Path
    tensors: int
    size: int
    shards: int
    kept: int


@dataclass(frozen=True)
class _Piece:
    """Stored tensors of one file that are written into one file."""

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class ConvertSettings:
    """What to convert, and how.

    Attributes:
        model: a folder or Hub id.
        out: the folder to write.
        dtype: another precision of the weights; None for that which is stored.
        revision: of the Hub id.
        tokenizer: the folder of a tokenizer, for a checkpoint that carries none.
    """

    model: str
    out: Path
    dtype: torch.dtype | None = None
    revision: str | None = None
    tokenizer: str | None = None


def convert_checkpoint(settings: ConvertSettings) -> Converted:
    """Write the model, its processor with the chat template, generation settings and licence files.

    At most one file's weights are in memory. What an interrupted conversion wrote is kept where it began with the same.

    Raises:
        InputError: transformers loads it as it is, or weights are missing or left over.
        RunFolderError: `out` holds something else.
    """
    recognised = recognise(settings.model, settings.revision)
    if recognised is None:
        known = "; ".join(one.name for one in LAYOUTS)
        raise InputError(
            f"{settings.model} is in none of the layouts that are converted ({known}). "
            "Name a folder or Hub id of these; what transformers loads by itself needs no conversion."
        )
    parts, folder, out = recognised.layout.parts(), recognised.folder, settings.out
    damaged = damaged_file(settings.model)
    if damaged:
        raise InputError(f"{settings.model} cannot be converted: {damaged} {MEND}")
    processor = parts.processor(folder, {"tokenizer": settings.tokenizer} if settings.tokenizer else {})
    names = _Names(parts, folder)
    pieces = _pieces(folder)
    names.require_all([name for piece in pieces for name in piece.names])
    _begin(out, settings, pieces)
    written = _write_weights(names, pieces, settings)
    processor.save_pretrained(out)
    generation_of(parts, folder).save_pretrained(out)
    for name in licence_files(Base(folder.name)):
        shutil.copyfile(Path(folder.name, name), out / name)
    config = names.model.config
    config.architectures, config.dtype = [parts.model.__name__], settings.dtype or config.dtype
    give_usual_rights(out)
    config.save_pretrained(out)  # last: from now on it is a model's folder
    (out / BEGUN).unlink()
    return written


def _write_weights(names: _Names, pieces: Sequence[_Piece], settings: ConvertSettings) -> Converted:
    out, total = settings.out, len(pieces) + (names.filler is not None)
    made: list[Callable[[], Mapping[str, Tensor]]] = [partial(names.converted, piece) for piece in pieces]
    if names.filler is not None:
        made.append(names.filler.tensors)
    weight_map: dict[str, str] = {}
    size = kept = 0
    for number, tensors in enumerate(tracked(made, f"Converting {settings.model}", total)):
        path = out / f"model-{number + 1:05d}-of-{total:05d}.safetensors"
        if path.is_file():
            kept += 1
        else:
            _write(tensors(), path, settings.dtype)
        with safe_open(path, framework="pt") as written:
            weight_map.update(dict.fromkeys(written.keys(), path.name))
        size += path.stat().st_size
    write_text(out / INDEX, json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}, indent=1))
    return Converted(out, len(weight_map), size, total, kept)


class _Names:
    """From stored names and tensors to those of the class, as transformers (5.23) makes them when it loads."""

    def __init__(self, parts: Parts, folder: Folder) -> None:
        conversions: Sequence[Conversion] = parts.conversions(folder)
        self.where, self.ignored = folder.name, parts.ignored
        with torch.device("meta"):
            self.model: Any = parts.model(parts.config(folder))
        self.filler = parts.beside(folder) if parts.beside is not None else None
        self.renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
        self.converters = [one for one in conversions if isinstance(one, WeightConverter)]
        self.own = self.model.state_dict()

    def require_all(self, stored: Sequence[str]) -> None:
        """Raises InputError where not exactly the model's weights come of what is stored."""
        made = {own for name in stored for own in self._targets(name)}
        beside = self.filler.tensors().keys() if self.filler is not None else set()
        missing = sorted(self.own.keys() - made - beside - set(self.model.all_tied_weights_keys))
        left = sorted(name for name in made - self.own.keys() if not any(part in name for part in self.ignored))
        if missing or left:
            told = f"{len(missing)} are missing ({', '.join(missing[:3])})" if missing else f"left over: {left[0]}"
            raise InputError(f"{self.where}: the weights are not those that config.json describes: {told}. {MEND}")

    def converted(self, piece: _Piece) -> dict[str, Tensor]:
        """The tensors of a piece under the names of the class."""
        made: dict[str, Tensor] = {}
        with opened_weights(piece.path) as read:
            for name in piece.names:
                made.update({own: tensor for own, tensor in self._convert(name, read(name)).items() if own in self.own})
        return made

    def _rename(self, name: str) -> tuple[str, WeightConverter | None, str | None]:
        renamed, pattern = rename_source_key(name, self.renamings, self.converters)
        converter = next((one for one in self.converters if pattern in one.source_patterns), None)
        return renamed, converter, pattern

    def _targets(self, name: str) -> list[str]:
        renamed, converter, _ = self._rename(name)
        if name in self.own and renamed not in self.own:
            return [name]
        targets = converter.target_patterns if converter is not None else [""]
        return [renamed.replace(targets[0], target) for target in targets] if converter is not None else [renamed]

    def _convert(self, name: str, tensor: Tensor) -> dict[str, Tensor]:
        renamed, converter, pattern = self._rename(name)
        if converter is None or pattern is None:
            return {self._targets(name)[0]: tensor}
        alone = deepcopy(converter)
        alone.add_tensor(renamed, name, pattern, tensor)  # a tensor as it is, as where transformers saves
        found = alone.convert(renamed, model=self.model, config=self.model.config)
        return {own: made[0] if isinstance(made, list) else made for own, made in found.items()}


def _pieces(folder: Folder) -> list[_Piece]:
    """All that is stored, dealt to files that fit in memory, in an order that does not change."""
    pieces: list[_Piece] = []
    for path in folder.weight_files():
        names: list[str] = []
        weights = 0
        for name, shape in sorted(weight_shapes(path).items()):
            if names and weights + torch.Size(shape).numel() > SHARD:
                pieces.append(_Piece(path, tuple(names)))
                names, weights = [], 0
            names.append(name)
            weights += torch.Size(shape).numel()
        pieces.append(_Piece(path, tuple(names)))
    return pieces


def _begin(out: Path, settings: ConvertSettings, pieces: Sequence[_Piece]) -> None:
    """Take `out`, new, empty, or with what an interrupted conversion of the same checkpoint left."""
    files = {path.name: path.stat().st_size for path in sorted({piece.path for piece in pieces})}
    begun = json.dumps({"model": settings.model, "files": files, "dtype": str(settings.dtype)}, indent=1)
    record = out / BEGUN
    if record.is_file():
        if record.read_text(encoding="utf-8") != begun:
            raise RunFolderError(
                f"{out} holds part of another conversion ({BEGUN} says which). Choose another folder, or remove it."
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunFolderError(f"{out} holds something already. Choose a folder that is new or empty.")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_text(record, begun)


def _write(tensors: Mapping[str, Tensor], path: Path, dtype: torch.dtype | None) -> None:
    """Write the tensors, in another precision where one is asked for, so that the file is whole or not there."""
    cast = {name: one.to(dtype) if dtype and one.is_floating_point() else one for name, one in tensors.items()}
    partial_file = path.with_name(f".{path.name}.partial")
    save_file({name: one.contiguous().clone() for name, one in cast.items()}, partial_file, metadata={"format": "pt"})
    partial_file.replace(path)
