"""Every task by name, with the file that holds its record; a file is imported when its task is asked for."""

from __future__ import annotations

import importlib

from sightline.errors import ConfigError, nearest
from sightline.evaluation.task import Task

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
    "custom": "custom",
}


def load_task(name: str) -> Task:
    """The record of a task.

    Raises:
        ConfigError: no task has this name.
    """
    if name not in TASKS:
        hint = nearest(name, TASKS) or "`sightline tasks list` shows them all."
        raise ConfigError(f"tasks: there is no task '{name}'. {hint}")
    module = importlib.import_module(f"sightline.evaluation.tasks.{TASKS[name]}")
    record: Task = module.TASKS[name]
    return record
