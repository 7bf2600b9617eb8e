"""Model folders that bring code or pickles, each of which leaves a file behind where it is run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

FOREIGN = {"AutoConfig": "foreign.Foreign", "AutoModelForImageTextToText": "foreign.Foreign"}
# What each folder's files say besides, and whether transformers' own classes can load it all the same.
WITH_CODE: dict[str, tuple[dict[str, dict[str, Any]], bool]] = {
    "another model": (
        {"config.json": {"model_type": "foreign", "architectures": ["Foreign"], "auto_map": FOREIGN}}, False),
    "a known model": ({"config.json": {"auto_map": FOREIGN}}, True),
    "code of another repository": (
        {"config.json": {"model_type": "foreign", "auto_map": {"AutoConfig": "someone/else--foreign.Foreign"}}}, False),
    "a processor": (
        {"processor_config.json": {
            "processor_class": "Foreign", "auto_map": {"AutoProcessor": "foreign.Foreign"}}}, True),
    "a picture processor": (
        {"processor_config.json": {"image_processor": {
            "image_processor_type": "Foreign", "auto_map": {"AutoImageProcessor": "foreign.Foreign"}}}}, False),
    "a tokenizer": (
        {"tokenizer_config.json": {
            "tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["foreign.Foreign", None]}}}, True),
    "generation": ({"generation_config.json": {"auto_map": {"GenerationConfig": "foreign.Foreign"}}}, True),
}  # fmt: skip


def add_code(folder: Path, kind: str, trace: Path) -> Path:
    """The folder with code of the kind, which writes `trace` when it is run."""
    said, _ = WITH_CODE[kind]
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nclass Foreign: pass\n"
    (folder / "foreign.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    for name, fields in said.items():
        path = folder / name
        before = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**before, **fields}))
    return folder


class Touches:
    """What makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def plant_pickle(path: Path, trace: Path) -> None:
    """A file of weights or states that writes `trace` when it is unpickled without care."""
    torch.save({"weight": Touches(trace)}, path)
