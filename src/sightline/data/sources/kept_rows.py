"""Store converted rows beside the caches of `datasets`, keyed by all that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.sources.file_signatures import file_signature
from sightline.data.version import encoding_version
from sightline.progress import doing
from sightline.runs import write_text

if TYPE_CHECKING:
    from datasets import Dataset

SECONDS_KEPT = 30 * 24 * 3600  # since it was last used; the digest beside it may go before, and costs one conversion
DIGEST = ".digest"


def map_rows(dataset: Dataset, function: Callable[..., Any], parameters: Iterable[Any] = (), **options: Any) -> Dataset:
    """`dataset.map` that believes what was kept only where rows, parameters and our code are the same.

    `datasets` (5.0) keeps what a function made under a hash of that function, which knows those that it calls by name
    alone, and writes it into the folder of the dataset: the user's own, for one that `save_to_disk` wrote. Rows in
    memory stay there.

    Args:
        parameters: what the function depends on besides the rows.
    """
    files = [Path(file["filename"]) for file in dataset.cache_files]
    ours = kept_folder() if files else None
    signatures = [path.name if path.parent == ours else file_signature(path) for path in files]
    parts = [encoding_version(), dataset._fingerprint, dataset.features, *parameters, *signatures]
    key = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    title = options.get("desc") or "Reading rows"
    if ours is None:
        with doing(title):
            return dataset.map(function, new_fingerprint=key, **options)
    place = ours / f"{key}.arrow"
    whole = _is_whole(place)
    options |= {"cache_file_name": str(place), "load_from_cache_file": whole}
    with doing(title):
        kept = dataset.map(function, new_fingerprint=key, **options)
    with contextlib.suppress(OSError):
        if whole:
            os.utime(place)
        else:
            write_text(place.with_suffix(DIGEST), _digest(place))
    return kept


@contextmanager
def maps_in_temporary_files() -> Iterator[None]:
    """Lets `dataset.map`, whoever calls it, write into files that go with the process, not into the user's folders."""
    import datasets

    enabled = datasets.is_caching_enabled()
    datasets.disable_caching()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_caching()


def kept_folder() -> Path:
    """Where rows are kept, or a folder for this process alone where nothing can be kept."""
    from datasets.fingerprint import get_temporary_cache_files_directory

    folder = _folder()
    try:
        if not folder.is_absolute():
            raise FileNotFoundError  # a user without a home folder
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
        _remove_unused(folder)
    except OSError:
        return Path(get_temporary_cache_files_directory())
    return folder


def _is_whole(place: Path) -> bool:
    """Whether what is kept there is what was written."""
    try:
        return place.with_suffix(DIGEST).read_text(encoding="utf-8") == _digest(place)
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _folder() -> Path:
    from datasets import config

    return Path(config.HF_DATASETS_CACHE) / "sightline"


def _remove_unused(folder: Path) -> None:
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # another process removed it
            if time.time() - path.stat().st_mtime > SECONDS_KEPT:
                path.unlink()
