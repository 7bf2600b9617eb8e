"""What tests of commands share: a model's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import tiny_llava, tiny_processor


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA and its processor, saved."""
    folder = tmp_path_factory.mktemp("model")
    tiny_llava(1).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder
