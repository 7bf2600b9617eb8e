"""Call transformers' `from_pretrained` so that no code of a folder runs and nothing is asked on a terminal."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sightline.errors import InputError
from sightline.progress import doing

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
NONE: Mapping[str, Any] = MappingProxyType({})


def load_guarded(kind: Any, name: str, settings: Mapping[str, Any] = NONE) -> Any:
    """What `kind.from_pretrained(name, **settings)` gives; the one place of the package that calls it.

    Raises:
        InputError: weights lie in a pickle that would run something.
        OSError, ValueError: as transformers raises them.
    """
    with never_asking(), refused_pickles(name), doing(f"Loading {name}"):
        return kind.from_pretrained(name, trust_remote_code=False, **settings)


@contextmanager
def never_asking() -> Iterator[None]:
    """transformers without its question on a terminal whether code may run: where it would ask, it raises ValueError.

    For what it and TRL load on our behalf without `trust_remote_code` (transformers 5.23 passes it on to some parts of
    a processor only; TRL 1.16 leaves it out for `chat_template_path`).
    """
    from transformers import dynamic_module_utils

    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before


@contextmanager
def quiet_loading() -> Iterator[None]:
    """transformers without its report on weights that were not used or not there."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def refused_pickles(name: str) -> Iterator[None]:
    """What torch raises of weights or states below `name` that are pickled with more than tensors, as an input error.

    Raises:
        InputError: with the files that it may be.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        folder = Path(name)
        files = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES) if folder.is_dir() else []
        lines = [line.strip(" .") for line in str(error).splitlines()]
        wanted = next((line[:160] for line in lines if "GLOBAL" in line), lines[0][:160] if lines else "")
        which = f" ({', '.join(files)})" if files else ""
        raise InputError(
            f"{name}: a pickle{which} holds more than tensors, so that reading it would run code: {wanted}. Sightline "
            "reads pickles of tensors alone. Use a copy whose weights are safetensors, or states that your run wrote."
        ) from error
