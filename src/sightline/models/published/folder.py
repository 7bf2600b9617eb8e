"""A model's folder or Hub id before its weights are read: its files, its settings, the tensors that it names."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Folder:
    """A folder or Hub id with what its config.json says.

    Attributes:
        name: the folder, or the Hub id.
        revision: of the Hub id; None for its newest.
        settings: the object in config.json.
    """

    name: str
    revision: str | None
    settings: Mapping[str, Any]

    def file(self, name: str) -> Path | None:
        """A file of the folder, fetched where it is on the Hub; None where there is none."""
        return stored_file(self.name, name, self.revision) or fetched_file(self.name, name, self.revision)

    def read_settings(self, name: str) -> dict[str, Any]:
        """The object in one of the folder's JSON files; empty where there is no such file."""
        path = self.file(name)
        found = json.loads(path.read_bytes()) if path is not None else {}
        return found if isinstance(found, dict) else {}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each stored tensor by its name; of the shards of an index whatever they hold."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path in self.weight_files():
            shapes.update(weight_shapes(path))
        return shapes

    def weight_files(self) -> tuple[Path, ...]:
        """The files of weights, safetensors before pickles; those that an index names and that are missing are left
        out, as whoever loads them says."""
        for index, whole in zip(INDEXES, WHOLE, strict=True):
            path = self.file(whole)
            if path is not None:
                return (path,)
            named = self.read_settings(index).get("weight_map")
            if isinstance(named, dict):
                found = [self.file(name) for name in sorted(set(named.values()))]
                return tuple(path for path in found if path is not None)
        return ()


def read_folder(name: str, revision: str | None = None) -> Folder | None:
    """A folder or Hub id with its settings; None where config.json is not here or holds no object."""
    path = stored_file(name, "config.json", revision) or fetched_file(name, "config.json", revision)
    if path is None:
        return None
    try:
        settings = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # which transformers tells of
        return None
    return Folder(name, revision, settings) if isinstance(settings, dict) else None


def fetched_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a Hub id, fetched to the cache; None for a folder, and where it cannot be had."""
    if not is_hub_id(name):
        return None
    from transformers.utils import cached_file

    try:
        found = cached_file(name, file, revision=revision, _raise_exceptions_for_missing_entries=False)
    except Exception:  # of the network or the Hub; whoever loads the model says so
        return None
    return Path(found) if found is not None else None


def is_hub_id(name: str) -> bool:
    """Whether a name can only be that of the Hub: no folder, and written as `owner/name` or `name`."""
    path = Path(name)
    return not (path.is_dir() or path.is_absolute() or name.count("/") > 1 or name.startswith("."))


def stored_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a folder, or of what is cached of a Hub id; None where it is not here."""
    folder = Path(name)
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    if not is_hub_id(name):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


@contextmanager
def opened_weights(path: Path) -> Iterator[Callable[[str], Tensor]]:
    """A file of weights, of which each tensor is read when it is asked for by its name.

    Raises:
        InputError: a pickle holds more than tensors.
    """
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            yield file.get_tensor
        return
    tensors = _unpickled(path, "cpu")
    yield lambda name: tensors[name]


def weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a file of safetensors, or in a pickle that holds nothing but tensors."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return {key: tuple(tensor.shape) for key, tensor in _unpickled(path, "meta").items()}


def _unpickled(path: Path, device: str) -> dict[str, Tensor]:
    """The tensors of a pickle; those of a file of torch 1.6 or later stay on the disk until they are used."""
    import torch

    from sightline.models.guarded import refused_pickles

    with refused_pickles(str(path.parent)):
        is_zip = zipfile.is_zipfile(path)
        found: dict[str, Tensor] = torch.load(path, map_location=device, mmap=is_zip, weights_only=True)
    return found
