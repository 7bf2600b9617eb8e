"""Processes that a launcher starts train together: each on its GPU, or all on the CPU; never each by itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sightline.errors import ConfigError
from sightline.training.devices import choose_device, require_all_processes


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int, processes: int, local: int = 0) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("RANK", str(local))
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


@pytest.mark.parametrize(("gpus", "processes", "expected"), [(0, 2, True), (2, 2, False), (0, 1, False), (1, 1, False)])
def test_processes_without_an_accelerator_train_together_on_the_cpu(
    gpus: int, processes: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpus, processes)
    args = SimpleNamespace(use_cpu=False)
    choose_device(args)
    assert args.use_cpu == expected


def test_more_processes_than_gpus_are_refused_unless_they_train_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=1, processes=2, local=1)
    with pytest.raises(ConfigError, match="a GPU for each process of this machine, which shows 1; got process 2"):
        choose_device(SimpleNamespace(use_cpu=False))
    args = SimpleNamespace(use_cpu=True)
    choose_device(args)
    assert args.use_cpu
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    choose_device(SimpleNamespace(use_cpu=False))


def test_processes_that_do_not_see_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=0, processes=2)
    with pytest.raises(ConfigError, match="use_cpu: expected true, since the launcher started 2 processes"):
        require_all_processes(SimpleNamespace(world_size=1, use_cpu=False))
    require_all_processes(SimpleNamespace(world_size=2, use_cpu=True))
