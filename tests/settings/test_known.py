"""Names of tasks are checked without the evaluation, and the nearest one is told."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.evaluation.tasks.registry import load_task
from sightline.settings.known import TASKS, require_tasks


@pytest.mark.parametrize("name", TASKS)
def test_each_name_has_a_record(name):
    assert load_task(name).name == name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("mmbnch", r"eval_tasks: there is no task 'mmbnch'. Did you mean 'mmbench_dev_en'\?"),
        ("pope, MMMU", "no task 'MMMU'. Those of this name: mmmu_val"),
        ("xyz", "no task 'xyz'. `sightline tasks list` shows them all"),
        ("custom:/no/such.jsonl", "no file or folder /no/such.jsonl"),
    ],
)
def test_what_no_task_is_called_is_told(given, message):
    with pytest.raises(InputError, match=message):
        require_tasks([given], "eval_tasks")


def test_tasks_and_their_data_pass():
    require_tasks(["pope,mme", "", "custom:${ROWS}", "custom:~/rows.jsonl", "pope:owner/rows"])
