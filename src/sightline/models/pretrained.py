"""Load from a folder or Hub id with transformers' own classes; code in the folder never runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.launch.processes import say
from sightline.models.guarded import NONE, load_guarded
from sightline.models.published.folder import stored_file
from sightline.models.published.table import Recognised, recognise

SETTINGS = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "generation_config.json",
)
INSTEAD = (
    "Name a checkpoint in transformers' own format (for many models one whose name ends in -hf), or convert this one."
)


def load_pretrained(kind: Any, name: str | Path, settings: Mapping[str, Any] = NONE) -> Any:
    """What `kind.from_pretrained(name, **settings)` gives, in whatever layout the authors published.

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
    recognised = recognise(where, revision)
    if recognised is not None:
        return _load_recognised(recognised, kind, code, settings)
    reports = bool(code) and _is_model(kind) and "output_loading_info" not in settings
    asked = dict(settings)
    if reports:
        asked["output_loading_info"] = True
    try:
        if code and kind.__name__ == "AutoProcessor":  # finds its own class by the config alone (transformers 5.23)
            asked["config"] = load_pretrained(_auto_config(), where, {"revision": revision})
        loaded = load_guarded(kind, where, asked)
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


def _load_recognised(recognised: Recognised, kind: Any, code: tuple[str, ...], settings: Mapping[str, Any]) -> Any:
    from sightline.models.published.layout import load_published

    loaded = load_published(recognised.layout.parts(), kind, recognised.folder, settings)
    if code and kind is not _auto_config():
        _say_once(recognised.folder.name, code, f"as a checkpoint of {recognised.layout.name}")
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
    if not code or recognise(name, revision) is not None:
        return
    for architecture in config.architectures or ():
        if getattr(transformers, architecture, None) is None:
            raise InputError(
                f"{name} brings code of its own ({', '.join(code)}), which Sightline never runs, and its config.json "
                f"names {architecture}, which transformers has not. {INSTEAD}"
            )
    _say_once(name, code)


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
def _say_once(name: str, code: tuple[str, ...], how: str = "by transformers' own classes") -> None:
    say(f"{name} brings code of its own ({', '.join(code)}), which Sightline never runs: it is loaded {how}.")
