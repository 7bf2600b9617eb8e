"""Weights have the rights of what is written beside them, whatever safetensors gave them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sightline.models.stored_weights import give_usual_rights

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such rights")


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model-00001-of-00002.safetensors", "ref/adapter_model.safetensors"]
)
def test_weights_are_read_by_whom_the_umask_lets(umask: int, name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    save_file({"weight": torch.ones(2)}, tmp_path / name)
    give_usual_rights(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask
    assert {path.name for path in tmp_path.iterdir()} == {Path(name).parts[0]}


def test_rights_that_somebody_gave_stay(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    path.chmod(0o640)
    give_usual_rights(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
