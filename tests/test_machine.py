"""What is recorded of machine and packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch

from sightline.machine import describe_environment, installed_version


class Installed:
    """A distribution as pip knows it, by a version without its build."""

    version = "2.13.0"

    def __init__(self, folder: Path) -> None:
        self.locate_file = folder.joinpath


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("from typing import Optional\n__version__ = '2.13.0+cu130'\ncuda = '13.0'\n", "2.13.0+cu130"),
        ('__version__ = "2.13.0+cpu"\n', "2.13.0+cpu"),
        ("__version__ = '9.9'\n", "2.13.0"),  # the version of something else
        ("import os\n", "2.13.0"),
        (None, "2.13.0"),
    ],
)
def test_the_build_of_a_package_is_shown_where_only_the_package_names_it(tmp_path, monkeypatch, written, version):
    if written is not None:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch/version.py").write_text(written, encoding="utf-8")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(tmp_path))
    assert installed_version("torch") == version


def test_the_version_of_torch_is_what_torch_says_and_nothing_for_what_is_not_installed():
    assert describe_environment()["packages"]["torch"] == installed_version("torch") == torch.__version__
    assert installed_version("no-such-package") == ""
