"""Names of all tasks and their files, so that names are checked without importing evaluation."""

from __future__ import annotations

from collections.abc import Iterable

from sightline.errors import ConfigError, nearest
from sightline.settings.places import require_rows

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
    """Nothing for the name of a task.

    Raises:
        ConfigError: no task has this name; with the nearest one.
    """
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
