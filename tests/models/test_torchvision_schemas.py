"""torchvision must import, whatever torch its operators were compiled for, and whatever imports it first."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRANSFORMS = """
import torch, torchvision
from torchvision.transforms import v2
from sightline.models.torchvision_schemas import declare_torchvision_operators
declare_torchvision_operators()
print(tuple(v2.Resize((4, 4))(torch.zeros(3, 8, 8)).shape))
"""


def printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_its_transforms_work_once_sightline_is_imported() -> None:
    assert printed(f"import sightline\n{TRANSFORMS}") == "(3, 4, 4)"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["from transformers import CLIPImageProcessor", "import peft", "import trl"])
def test_peers_import_it_as_they_like_once_sightline_is_imported(first: str) -> None:
    assert printed(f"import sightline\n{first}\nprint('here')") == "here"


def test_asking_whether_it_is_there_loads_no_torch() -> None:
    program = "import sys, sightline, importlib.util as u; u.find_spec('torchvision'); print('torch' in sys.modules)"
    assert printed(program) == "False"
