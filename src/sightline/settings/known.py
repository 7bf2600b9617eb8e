"""What commands know without heavy imports: settings of training with kinds, defaults, meanings, and names of tasks."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from sightline.errors import ConfigError, nearest
from sightline.settings.places import require_rows

FILE = Path(__file__).with_name("known.json")  # written by tests/known_settings.py, which a test holds against TRL
# Annotations as the file names them; what is not among them is checked by the records themselves.
KINDS: dict[str, Any] = {
    "bool": bool,
    "bool | None": bool | None,
    "bool | str": bool | str,
    "bool | str | None": bool | str | None,
    "int": int,
    "int | None": int | None,
    "int | str | None": int | str | None,
    "float": float,
    "float | None": float | None,
    "str": str,
    "str | None": str | None,
    "None | str | list[str]": None | str | list[str],
    "str | list[str] | None": None | str | list[str],
    "list[str]": list[str],
    "list[str] | None": list[str] | None,
    "str | bool": str | bool,
    "str | list[transformers.debug_utils.DebugOption]": Any,
    "list[float]": list[float],
    "list[float] | None": list[float] | None,
    "dict[str, bool] | None": dict[str, bool] | None,
    "dict | str | None": dict | str | None,
    "dict[str, str] | str | None": dict[str, str] | str | None,
    "dict[str, Any] | str | None": dict[str, Any] | str | None,
    "Union[str, NoneType, Literal[False]]": str | None | Literal[False],
    "accelerate.parallelism_config.ParallelismConfig | None": Any,
    "list[sightline.training.arguments.MixtureSource]": Any,
    "list[sightline.training.arguments.EvaluationSource]": Any,
}


@dataclass(frozen=True)
class Setting:
    """One setting of a training command.

    Attributes:
        kind: its annotation, or one of its `choices`.
        default: as text; empty for none.
        is_ours: whether TRL and transformers do not have it.
    """

    name: str
    kind: Any
    choices: tuple[str, ...]
    default: str
    help: str
    is_ours: bool


@functools.cache
def known_settings(verb: str) -> dict[str, Setting]:
    """The settings of `sft`, `dpo` or the verbs of `vilt`, by name."""
    entries = json.loads(FILE.read_text(encoding="utf-8"))["settings"]
    return {entry["name"]: _setting(entry) for entry in entries if verb in entry["verbs"]}


def known_kinds(*verbs: str) -> dict[str, Any]:
    """The annotation of each setting that one of the verbs has."""
    return {name: setting.kind for verb in verbs for name, setting in known_settings(verb).items()} | {
        "trust_remote_code": bool  # of every verb, to be refused by name
    }


def is_of_installed() -> bool:
    """Whether the file was written from the versions that are installed."""
    try:
        return all(version(name) == of for name, of in json.loads(FILE.read_text(encoding="utf-8"))["versions"].items())
    except PackageNotFoundError:
        return False


def _setting(entry: dict[str, Any]) -> Setting:
    choices = tuple(entry["choices"])
    kind = KINDS[entry["kind"]] if entry["kind"] else None
    if choices:
        kind = Literal[choices] if not entry["takes_none"] else Literal[choices] | None
        kind = bool | kind if "bool" in entry["kind"] else kind
    return Setting(entry["name"], kind, choices, entry["default"], entry["help"], entry["is_ours"])


TASKS = {
    "mmmu_val": "mmmu",
    "mmbench_dev_en": "mmbench",
    "mmbench_dev_en_vanilla": "mmbench",
    "mmbench_dev_cn": "mmbench",
    "mmbench_dev_cn_vanilla": "mmbench",
    "mmbench_dev_en_v11": "mmbench",
    "mmbench_dev_en_v11_vanilla": "mmbench",
    "mmbench_dev_cn_v11": "mmbench",
    "mmbench_dev_cn_v11_vanilla": "mmbench",
    "mathvista_testmini": "mathvista",
    "ai2d_masked": "ai2d",
    "ai2d_no_mask": "ai2d",
    "scienceqa_img": "scienceqa",
    "ocrbench": "ocrbench",
    "mme": "mme",
    "pope": "pope",
    "vqav2_val": "vqav2",
    "textvqa_val": "textvqa",
    "docvqa_val": "docvqa",
    "coco_caption_val2014": "captions",
    "coco_caption_val2017": "captions",
    "coco_caption_vlmevalkit": "captions",
    "coco_caption_cc": "captions",
    "flickr30k": "captions",
    "nlvr_v1": "nlvr",
    "easy_vqa": "easy_vqa",
    "vqa_rad": "vqa_rad",
    "puzzlevqa": "puzzlevqa",
    "visonlyqa_real": "visonlyqa",
    "soft_answers": "soft_answers",
    "scene_descriptions": "scene_descriptions",
    "custom": "custom",
}


def require_task(name: str, where: str = "tasks") -> None:
    """Nothing for the name of a task. Raises ConfigError where no task has this name; with the nearest one."""
    if name not in TASKS:
        raise ConfigError(f"{where}: there is no task '{name}'. {_hint(name)}")


def require_tasks(named: Iterable[str], where: str = "tasks") -> None:
    """Nothing where each entry, of which a text may hold several with commas, is TASK or TASK:DATA, and can be there.

    Raises:
        InputError: there is no such task, or there are no such rows.
    """
    for entry in filter(None, (part.strip() for text in named for part in text.split(","))):
        name, _, data = entry.partition(":")
        require_task(name, where)
        if data and "${" not in data and not data.startswith("~"):
            require_rows(data)


def _hint(name: str) -> str:
    longer = [task for task in TASKS if name and task.startswith(f"{name.lower()}_")]
    if longer:
        return f"Those of this name: {', '.join(longer)}."
    return nearest(name.lower(), TASKS) or "`sightline tasks list` shows them all."
