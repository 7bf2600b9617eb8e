"""Processes that another one starts anew: workers under spawn and forkserver."""

from __future__ import annotations

import multiprocessing

import pytest

import sightline  # noqa: F401  imported by the process, too, as where a worker is given what is ours


def import_pictures(queue: multiprocessing.Queue[bool]) -> None:
    from transformers import image_transforms  # imports torchvision

    queue.put(bool(image_transforms))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_started_anew_imports_transformers_beside_any_torchvision(method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=import_pictures, args=(queue,))
    process.start()
    assert queue.get(timeout=120) is True
    process.join(30)
    assert process.exitcode == 0
