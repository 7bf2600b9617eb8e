"""A run resumed in a later pass over its rows reads those that were left: its losses are the uninterrupted run's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.resumed_run import STEPS, STOP, train


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("kind", ["grouped", "distinct", "stream", "mixture", "packed"])
def test_one_process_goes_on_in_the_order_of_its_pass(kind: str, method: str, tmp_path: Path) -> None:
    if (kind, method) == ("packed", "dpo"):
        pytest.skip("DPO packs nothing")
    whole = train(tmp_path, kind, method, 4, resumed=False)
    check(whole, train(tmp_path, kind, method, 4, resumed=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        pytest.param("grouped", "sft", marks=pytest.mark.soak),
        pytest.param("distinct", "dpo", marks=pytest.mark.soak),
        ("stream", "sft"),
        pytest.param("stream", "dpo", marks=pytest.mark.soak),
        pytest.param("packed", "sft", marks=pytest.mark.soak),
    ],
)
def test_two_processes_go_on_in_the_order_of_their_pass(
    kind: str, method: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for how in ("whole", "resumed"):
        script = ["-m", "tests.training.resumed_run", str(tmp_path), kind, method, "2", how]
        subprocess.run([*launcher, *script], cwd=root, check=True, timeout=240)
    check(
        *({int(step): loss for step, loss in read(tmp_path / name).items()} for name in ("logged.json", "resumed.json"))
    )


def read(path: Path) -> dict[str, float]:
    return dict(json.loads(path.read_text()))


def check(whole: dict[int, float], resumed: dict[int, float]) -> None:
    assert len(whole) == STEPS
    left = {step: loss for step, loss in resumed.items() if step > STOP}
    assert left == pytest.approx({step: loss for step, loss in whole.items() if step > STOP}, abs=1e-5)
