"""Load from a folder or Hub id with transformers' own classes; code in the folder never runs."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sightline.errors import InputError
from sightline.launch.processes import say
from sightline.progress import doing

SETTINGS = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "generation_config.json",
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
INSTEAD = (
    "Name a checkpoint in transformers' own format (for many models one whose name ends in -hf), or convert this one."
)
_NONE: Mapping[str, Any] = MappingProxyType({})


def load_pretrained(kind: Any, name: str | Path, settings: Mapping[str, Any] = _NONE) -> Any:
    """What `kind.from_pretrained(name, **settings)` gives; the one place of the package that calls it.

    What came with code, but is known to transformers by its `model_type`, is loaded as transformers' own class, and
    stderr says so.

    Raises:
        InputError: nothing but code of the folder can load it, its weights do not fit transformers' own class, or they
            lie in a pickle that would run something.
        OSError, ValueError: as transformers raises them.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a bar per file of weights, which fills a log with its moves; downloads keep theirs
    where, revision = str(name), settings.get("revision")
    code = code_beside(where, revision)
    reports = bool(code) and _is_model(kind) and "output_loading_info" not in settings
    asked = dict(settings)
    if reports:
        asked["output_loading_info"] = True
    try:
        if code and kind.__name__ == "AutoProcessor":  # finds its own class by the config alone (transformers 5.23)
            asked["config"] = load_pretrained(_auto_config(), where, {"revision": revision})
        with never_asking(), refused_pickles(where), doing(f"Loading {where}"):
            loaded = kind.from_pretrained(where, trust_remote_code=False, **asked)
    except (ValueError, KeyError) as error:
        code = code or code_beside(where, revision)  # of a Hub id that was fetched just now
        if code:
            raise InputError(_needs_code(where, code)) from error
        raise
    code = code or code_beside(where, revision)
    if reports:
        loaded, report = loaded
        _require_all_weights(where, code, type(loaded).__name__, sorted(report["missing_keys"]))
    if code and kind is not _auto_config():
        _say_once(where, code)
    return loaded


def check_code(name: str, revision: str | None = None) -> None:
    """Nothing for a folder or Hub id that loads without code of its own; of code that is left aside, stderr tells.

    For those that somebody else loads by name, as TRL does.

    Raises:
        InputError: nothing but code of the folder can load it, or it names a class that transformers has not.
    """
    import transformers

    try:
        config = load_pretrained(_auto_config(), name, {"revision": revision})
    except InputError:
        raise
    except Exception:  # transformers checks little of what it reads; whoever loads it says what is wrong
        return
    code = code_beside(name, revision)
    if not code:
        return
    for architecture in config.architectures or ():
        if getattr(transformers, architecture, None) is None:
            raise InputError(
                f"{name} brings code of its own ({', '.join(code)}), which Sightline never runs, and its config.json "
                f"names {architecture}, which transformers has not. {INSTEAD}"
            )
    _say_once(name, code)


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


def code_beside(name: str, revision: str | None = None) -> tuple[str, ...]:
    """The files of a folder, or of what is cached of a Hub id, that would have code of the folder's own run."""
    found = []
    for file in SETTINGS:
        path = stored_file(name, file, revision)
        if path is not None and _names_code(path):
            found.append(file)
    if Path(name, "custom_generate").is_dir():
        found.append("custom_generate/")
    return tuple(found)


def stored_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a folder, or of what is cached of a Hub id; None where it is not here."""
    folder = Path(name)
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    if folder.is_absolute() or name.count("/") > 1 or name.startswith("."):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


def _names_code(path: Path) -> bool:
    """Whether an object in a JSON file, at any depth, maps transformers' classes to files of code."""
    found: list[bool] = []

    def look(fields: dict[str, Any]) -> dict[str, Any]:
        found.append(bool(fields.get("auto_map") or fields.get("custom_pipelines")))
        return fields

    try:
        json.loads(path.read_text(encoding="utf-8"), object_hook=look)
    except (OSError, ValueError, RecursionError):  # which transformers tells of
        return False
    return any(found)


def _auto_config() -> Any:
    from transformers import AutoConfig

    return AutoConfig


def _is_model(kind: Any) -> bool:
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    return isinstance(kind, type) and issubclass(kind, PreTrainedModel | _BaseAutoModelClass)


def _needs_code(name: str, code: tuple[str, ...]) -> str:
    return (
        f"{name} needs code of its own ({', '.join(code)}), which Sightline never runs: transformers has no class "
        f"of its own for it. {INSTEAD}"
    )


def _require_all_weights(name: str, code: tuple[str, ...], kind: str, missing: list[str]) -> None:
    if missing:
        raise InputError(
            f"{name} brings code of its own ({', '.join(code)}), which Sightline never runs, and its weights are not "
            f"those of transformers' own {kind}: {len(missing)} are missing, such as {missing[0]}. {INSTEAD}"
        )


@functools.cache
def _say_once(name: str, code: tuple[str, ...]) -> None:
    say(
        f"{name} brings code of its own ({', '.join(code)}), which Sightline never runs: it is loaded by transformers' "
        "own classes."
    )
