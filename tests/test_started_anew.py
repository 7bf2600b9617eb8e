"""Processes that another one starts anew: workers under spawn and forkserver."""

from __future__ import annotations

import multiprocessing

import pytest

import sightline
from sightline.models import torchvision_schemas


@pytest.mark.parametrize("started_anew", [True, False])
def test_a_worker_started_anew_declares_torchvisions_operators_before_it_is_given_anything(monkeypatch, started_anew):
    declared: list[bool] = []
    monkeypatch.setattr(torchvision_schemas, "declare_torchvision_operators", lambda: declared.append(True))
    if started_anew:
        monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    sightline._prepare_worker()
    assert declared == [True] * started_anew


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
