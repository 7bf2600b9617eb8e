"""Check a folder's weights against its config.json before loading; set file rights after writing."""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.models.guarded import quiet_loading
from sightline.models.pretrained import load_pretrained

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED_INDEX = "pytorch_model.bin.index.json"
AIDES = ("adapter_model", "training_args", "optimizer", "scheduler")  # other files of these kinds in a run's folder
SHOWN = 3
# What config.json may describe of what is stored: tied weights are stored once, packed ones by several in a number.
MOST_TIMES = 4
MOST_BYTES = 4 * 2**30  # whose weights are read twice for a report


def index_problem(path: Path) -> str:
    """What is wrong with an index of shards, or with the shards that it names; empty where nothing is."""
    named = json.loads(path.read_bytes()).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(shard, str) for shard in named.values()):
        return f"is expected to map weights to files at weight_map, but holds {str(named)[:40]}"
    missing = sorted({shard for shard in named.values() if not (path.parent / shard).is_file()})
    return f"names {', '.join(missing[:SHOWN])}, which the folder has not" if missing else ""


def weights_problem(folder: Path, config: Any) -> str:
    """Why the safetensors of a folder are not those of the model that its config describes; empty where they are.

    Heads are read, and where they hold another number of weights than the config asks for, what loading would report.
    A model that is far larger than what is stored is refused before memory for it is asked for.
    """
    stored = _stored(folder)
    model = None if getattr(config, "quantization_config", None) or not stored.weights else described_model(config)
    if model is None:
        return ""
    described = sum(one.numel() for one in {id(one): one for one in model.state_dict(keep_vars=True).values()}.values())
    if described > MOST_TIMES * stored.weights:
        return (
            f"config.json describes a model of {described:,} weights, but {stored.weights:,} are stored: its "
            "text_config or vision_config is missing, or another model's"
        )
    if described == stored.weights or (described < stored.weights and stored.size > MOST_BYTES):
        return ""
    return loading_problem(folder)


def loading_problem(folder: Path) -> str:
    """What transformers would report of loading a folder's weights, without memory for them; empty where all fit."""
    from transformers import AutoModelForImageTextToText

    asked = {"device_map": "meta", "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        with quiet_loading():
            _, report = load_pretrained(AutoModelForImageTextToText, folder, asked)
    except Exception:  # transformers checks little of what it reads; loading it in earnest tells
        return ""
    if report["mismatched_keys"]:
        name, found, expected = sorted(report["mismatched_keys"])[0]
        return (
            f"{len(report['mismatched_keys'])} of its weights have other shapes than config.json asks for: {name} has "
            f"{list(found)}, expected {list(expected)}"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        return (
            f"{len(missing)} weights that config.json asks for are not stored, and would be drawn at random: "
            f"{', '.join(missing[:SHOWN])}"
        )
    return ""


@dataclass(frozen=True)
class _Stored:
    """How many weights lie in a folder, and their bytes."""

    weights: int
    size: int


def _stored(folder: Path) -> _Stored:
    from safetensors import safe_open

    index = folder / INDEX
    names = [WEIGHTS] if (folder / WEIGHTS).is_file() else []
    if not names and index.is_file():
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    count = 0
    for name in names:
        with safe_open(folder / name, framework="pt") as file:
            count += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    return _Stored(count, sum((folder / name).stat().st_size for name in names))


def stored_bytes(folder: Path) -> int:
    """Bytes of the files of weights in a folder, safetensors before pickles; 0 where there are none."""
    for kind in ("*.safetensors", "*.bin"):
        found = sum(path.stat().st_size for path in folder.glob(kind) if not path.name.startswith(AIDES))
        if found:
            return found
    return 0


def described_model(config: Any) -> Any:
    """The model of a config, without memory; None where it cannot be built so, which loading it tells of."""
    import torch
    from transformers import AutoModelForImageTextToText

    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
            model.tie_weights()
            return model
    except Exception:  # transformers checks little of what it reads
        return None


def give_usual_rights(folder: Path) -> None:
    """Lets whoever may read what else is written in the folder read its safetensors, and those of further adapters."""
    usual = _usual_rights(folder)
    for path in [*folder.glob("*.safetensors"), *folder.glob("*/adapter_model.safetensors")]:
        with contextlib.suppress(OSError):  # a file system without rights, or a file of another user
            if stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR:
                path.chmod(usual)


def _usual_rights(folder: Path) -> int:
    """Those of a new file there; the umask can only be read by changing it, which other threads would see."""
    probe = folder / f".rights.{os.getpid()}.partial"
    try:
        probe.touch()
        return stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink(missing_ok=True)
