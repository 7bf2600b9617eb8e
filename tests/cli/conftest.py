"""What tests of commands share: a model's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import tiny_folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA and its processor, saved."""
    return tiny_folder(tmp_path_factory.mktemp("model"), 1)
