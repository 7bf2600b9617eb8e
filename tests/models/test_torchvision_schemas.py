"""torchvision must import, whatever torch its operators were compiled for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from sightline.models.torchvision_schemas import declare_torchvision_operators
declare_torchvision_operators()
declare_torchvision_operators()
import torch, torchvision
from torchvision.transforms import v2
declare_torchvision_operators()
print(tuple(v2.Resize((4, 4))(torch.zeros(3, 8, 8)).shape))
"""


@pytest.mark.slow
def test_torchvision_transforms_work_after_declaring_twice() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(3, 4, 4)", done.stderr
