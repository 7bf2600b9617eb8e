"""Read which adapter a folder or Hub id holds, and which base model it needs, before loading anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.models.folders import require_settings

SETTINGS, REFERENCE = "adapter_config.json", "ref"  # the copy of an adapter that TRL's DPO leaves beside it
ROOT = "default"  # what PEFT calls the adapter that lies in the folder itself
INSTEAD = (
    "Name that model where it is now: `MODEL --adapter {adapter}` in ask, `--model MODEL --adapter {adapter}` in eval, "
    "`--model_name_or_path MODEL --adapter {adapter}` in sft and dpo, `--base MODEL` in merge."
)
CONVERTED = (
    "Where it is trained, save it as plain LoRA: `model.save_pretrained(INITIAL)` before the first step, and at the "
    "end `model.save_pretrained(FOLDER, path_initial_model_for_weight_conversion=INITIAL)`; or begin by pissa or "
    "olora, which are the same each time."
)
_UNLASTING = re.compile(r"pissa_niter_.*|corda|lora_ga")
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_CACHED = re.compile(r"models--(.+)")


@dataclass(frozen=True)
class Base:
    """A model that an adapter was trained on.

    Attributes:
        name: a folder or a Hub id.
        revision: of the Hub id; None for its newest.
    """

    name: str
    revision: str | None = None


def is_adapter(folder: str) -> bool:
    """Whether a folder holds an adapter; where it holds a configuration besides, transformers takes it for one, too."""
    return Path(folder, SETTINGS).is_file()


def base_of_adapter(folder: str) -> Base:
    """The model that an adapter was trained on; nothing is asked of the network.

    Raises:
        InputError: the adapter does not say, or the model is not here, or is an adapter itself.
    """
    settings = require_settings(Path(folder, SETTINGS))
    name, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{folder} holds an adapter that does not name its base model. {INSTEAD.format(adapter=folder)}"
        )
    _require_here(folder, name)
    require_no_adapter(name, folder)
    return Base(name, revision if isinstance(revision, str) and not Path(name).is_dir() else None)


def unlasting_start(init_lora_weights: Any) -> str:
    """How a LoRA began that changed its base as no file tells and no load does again (PEFT 0.21): `pissa_niter_N` by
    random numbers, `corda` and `lora_ga` by data; empty for any other."""
    start = str(init_lora_weights)
    return start if _UNLASTING.fullmatch(start.lower()) else ""


def require_lasting_start(folder: str) -> None:
    """Nothing where an adapter's file and its base are all that it takes to answer as it was trained.

    Raises:
        InputError: the base was changed when the adapter was begun.
    """
    start = unlasting_start(require_settings(Path(folder, SETTINGS)).get("init_lora_weights"))
    if start:
        raise InputError(
            f"{folder} was begun by init_lora_weights={start!r}, which took a part out of its base model that the file "
            "does not hold and that PEFT would draw anew: it would answer otherwise than it was trained. "
            f"{CONVERTED}"
        )


def require_no_adapter(base: str, adapter: str) -> None:
    """Nothing where the base of an adapter is a model.

    Raises:
        InputError: it is an adapter, whose weights would be left out.
    """
    if is_adapter(base):
        raise InputError(
            f"{adapter} is an adapter of {base}, which is an adapter itself. Make a model of that one first: "
            f"`sightline merge {base} FOLDER`, then name FOLDER as the base of {adapter}."
        )


def local_adapter(name: str) -> str:
    """The folder of an adapter: `name` itself, or what is fetched of a Hub id.

    Raises:
        InputError: there is no such folder, or nothing can be fetched.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if is_path(name) or "/" not in name:
        raise InputError(f"There is no folder {name}. Name an adapter's folder, or a Hub id such as `owner/name`.")
    from huggingface_hub import snapshot_download

    try:
        return str(snapshot_download(name, ignore_patterns=["*.pt", "*.pth", "checkpoint-*", "*.msgpack", "*.h5"]))
    except Exception as error:  # of the network, the Hub, or a name that is none
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise InputError(f"{name} is no folder, and could not be fetched from the Hub: {reason}.") from error


def chosen_adapter(folder: str, name: str | None = None) -> str:
    """The folder of the one adapter below `folder`, or of that which `name` names.

    Raises:
        InputError: there is none, there is none of that name, or there are several and none is named.
    """
    found = _adapters_in(folder)
    if name is not None:
        if name not in found:
            raise InputError(f"adapter: {folder} has none of the name {name!r}; it has {_listed(found)}.")
        return found[name]
    candidates = {one: place for one, place in found.items() if one != REFERENCE} or found
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if candidates:
        raise InputError(f"{folder} holds {len(candidates)} adapters: {_listed(candidates)}. Name one by --adapter.")
    checkpoints = sorted(path.name for path in Path(folder).glob("checkpoint-*") if is_adapter(str(path)))
    if checkpoints:
        raise InputError(f"{folder} holds no adapter itself, but {', '.join(checkpoints)}. Name one: {folder}/...")
    if Path(folder, "config.json").is_file():
        raise InputError(f"{folder} is a whole model, no adapter: there is nothing to merge. Use it as it is.")
    there = ", ".join(sorted(entry.name for entry in Path(folder).iterdir())[:8]) or "nothing"
    raise InputError(f"{folder} has no {SETTINGS}. Expected an adapter folder as PEFT writes it; it holds {there}.")


def lasting_name(base: str, revision: str | None = None) -> Base:
    """What an adapter's settings say of its base, so that they hold in another working directory: a folder in full,
    of what lies in the Hub's cache its id."""
    path = Path(base)
    if not path.is_dir():
        return Base(base, revision)
    absolute = path.absolute()
    cached = _CACHED.fullmatch(absolute.parent.parent.name)
    if cached and absolute.parent.name == "snapshots":
        return Base(cached[1].replace("--", "/"), absolute.name)
    return Base(str(absolute))


def keep_base_name(model: Any, revision: str | None = None) -> None:
    """Lets the adapters of PEFT's wrapper name their base as `lasting_name` does, where they are saved."""
    for settings in getattr(model, "peft_config", {}).values():
        if settings.base_model_name_or_path:
            base = lasting_name(settings.base_model_name_or_path, settings.revision or revision)
            settings.base_model_name_or_path, settings.revision = base.name, base.revision


def is_path(name: str) -> bool:
    """Whether a name can be no Hub id."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _require_here(folder: str, base: str) -> None:
    if Path(base).is_dir():
        return
    beside = _beside(folder, base)
    if beside is not None:
        missing = f"paths count from {Path.cwd()}, and a folder of this name is {beside}"
    elif is_path(base):
        missing = "there is no such folder"
    elif _is_cached(base):
        return
    elif "/" not in base:
        missing = f"there is no such folder in {Path.cwd()}, and no such model in the Hub's cache"
    elif _is_offline():
        missing = "it is neither a folder nor in the Hub's cache, and HF_HUB_OFFLINE is set"
    else:
        return
    raise InputError(
        f"{folder} is an adapter of {base}, which is not here: {missing}. {INSTEAD.format(adapter=folder)}"
    )


def _beside(folder: str, base: str) -> Path | None:
    """A relative path counted from a folder that the adapter lies in: where its training may have been started."""
    if Path(base).is_absolute():
        return None
    above = list(Path(folder).absolute().parents)[:3]
    return next((place / base for place in above if (place / base / "config.json").is_file()), None)


def _is_cached(base: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(base, "config.json"), str)
    except HFValidationError:
        return False


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _adapters_in(folder: str) -> dict[str, str]:
    """The adapters of a folder by PEFT's names: its own, and those of its subfolders that are no checkpoints."""
    found = {ROOT: folder} if is_adapter(folder) else {}
    for path in sorted(Path(folder).glob(f"*/{SETTINGS}")):
        if not path.parent.name.startswith(".") and not _CHECKPOINT.fullmatch(path.parent.name):
            found.setdefault(path.parent.name, str(path.parent))
    return found


def _listed(found: dict[str, str]) -> str:
    return ", ".join(sorted(found)) or "none"
