"""A tiny folder of each kind as its authors publish it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.models.ports.cogvlm.tiny_cogvlm import published_folder, tiny_model
from tests.models.ports.moondream.published import write_folder
from tests.models.ports.qwen_vl.tiny import published as qwen_vl
from tests.models.published import test_deepseek_vl, test_llava, test_yi_vl


def _deepseek_vl(folder: Path, two: bool, name: str = "") -> Path:
    place = folder / name if name else folder  # the name alone tells a base model
    test_deepseek_vl.checkpoint(place, two)
    return place


def _yi_vl(folder: Path) -> Path:
    test_yi_vl.checkpoint(folder)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "llava 1.5": lambda folder: test_llava.checkpoint(folder, anyres=False).folder,
    "llava 1.6": lambda folder: test_llava.checkpoint(folder).folder,
    "llava 1.6 34B": lambda folder: test_llava.checkpoint(folder, chatml=True).folder,
    "deepseek-vl 1.3B": lambda folder: _deepseek_vl(folder, two=False),
    "deepseek-vl 7B": lambda folder: _deepseek_vl(folder, two=True),
    "deepseek-vl base": lambda folder: _deepseek_vl(folder, two=True, name="deepseek-vl-7b-base"),
    "yi-vl": _yi_vl,
    "moondream2 A": lambda folder: write_folder(folder, "A"),
    "moondream2 B": lambda folder: write_folder(folder, "B"),
    "moondream2 C": lambda folder: write_folder(folder, "C"),
    "moondream2 D": lambda folder: write_folder(folder, "D"),
    "qwen-vl": lambda folder: qwen_vl(folder, chat=False, shards=".safetensors"),
    "qwen-vl-chat": qwen_vl,
    "cogvlm base": lambda folder: published_folder(folder, tiny_model(1), version="base"),
    "cogvlm chat": lambda folder: published_folder(folder, tiny_model(), pickled=True),
}
