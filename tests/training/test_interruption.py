"""Signals on several processes: what came to one is heard by all, and what a launcher repeats is one signal."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sightline.errors import Stopped
from sightline.training.interruption import Interruption


@pytest.fixture
def args() -> Any:
    return SimpleNamespace(world_size=2)


@pytest.fixture
def interruption(args: Any) -> Interruption:
    accelerator = SimpleNamespace(device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(args=args, accelerator=accelerator, state=SimpleNamespace(global_step=3))
    return Interruption(trainer)


def control() -> Any:
    return SimpleNamespace(should_save=False, should_training_stop=False)


def test_a_signal_to_another_process_stops_this_one_and_its_own_that_comes_later_is_the_same(
    interruption: Interruption, args: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, kind: tensor.fill_(signal.SIGTERM))
    asked = interruption.on_step_end(args, SimpleNamespace(global_step=3), control())
    assert asked.should_save and asked.should_training_stop
    interruption._note(signal.SIGTERM, None)
    assert interruption.number == signal.SIGTERM and isinstance(interruption.as_exception(), Stopped)


def test_a_signal_that_comes_while_processes_agree_is_heard_at_the_next_step(
    interruption: Interruption, args: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, kind: interruption._note(signal.SIGHUP, None))
    interruption.on_step_end(args, SimpleNamespace(global_step=3), control())
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, kind: None)
    assert interruption.on_step_end(args, SimpleNamespace(global_step=4), control()).should_training_stop
    assert interruption.number == signal.SIGHUP


def test_a_signal_after_the_last_step_came_to_this_process_alone_and_ends_no_training(
    interruption: Interruption, args: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, kind: None)
    interruption.on_step_end(args, SimpleNamespace(global_step=3), control())
    interruption._note(signal.SIGTERM, None)
    assert interruption.number == signal.SIGTERM and not interruption.ends
    interruption.on_step_end(args, SimpleNamespace(global_step=4), control())
    assert interruption.ends


def test_one_process_ends_at_the_second_signal(interruption: Interruption, args: Any) -> None:
    args.world_size = 1
    interruption._note(signal.SIGTERM, None)
    interruption._note(signal.SIGHUP, None)
    with pytest.raises(Stopped) as ended:
        interruption._note(signal.SIGTERM, None)
    assert ended.value.code == 143 and interruption.ends_at_once(ended.value)
