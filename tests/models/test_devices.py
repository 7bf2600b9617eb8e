"""Devices are taken where they are, and refused with those that are."""

from __future__ import annotations

import pytest
import torch

from sightline.errors import ConfigError
from sightline.models.devices import chosen_device, of_process
from sightline.settings.loading import LoadingOptions


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_the_first_gpu_is_taken_where_there_is_one(two_gpus: None) -> None:
    assert [chosen_device(one) for one in (None, "cuda", "cuda:1", "cpu")] == ["cuda", "cuda", "cuda:1", "cpu"]


def test_a_device_that_is_not_here_is_refused_with_those_that_are(two_gpus: None) -> None:
    for device in ("cuda:2", "xpu", "xpu:0", "mps"):
        with pytest.raises(ConfigError, match=f"device: {device} is not here; .* sees cuda:0, cuda:1, cpu"):
            chosen_device(device)


def test_each_of_several_processes_takes_its_own(two_gpus: None) -> None:
    assert of_process(LoadingOptions(), "cuda:1", 2).device == "cuda:1"
    assert of_process(LoadingOptions(device="cpu"), "cuda:1", 2).device == "cpu"
    assert of_process(LoadingOptions(device="cuda:0"), None, 1).device == "cuda:0"
    assert of_process(LoadingOptions(device_map="auto"), None, 1).device is None
    for options in (LoadingOptions(device="cuda:0"), LoadingOptions(device_map="auto")):
        with pytest.raises(ConfigError, match=r"device.*: each of 2 processes takes a GPU of its own"):
            of_process(options, "cuda:1", 2)
