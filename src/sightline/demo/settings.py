"""Settings of the demo, the sizes that they stand for, and its stages, each announced and timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.config import recipes_folder
from sightline.console import console_on
from sightline.training.arguments import read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.sft import SFTConfig

CONFIGS: dict[str, Any] = {"look": SFTConfig, "sft": SFTConfig, "dpo": DPOConfig}


@dataclass(frozen=True)
class DemoConfig:
    """What the command's flags say.

    Attributes:
        output_dir: a new or empty folder.
        quick: a smoke test: the same steps in under a minute, on so little that the model learns next to nothing.
    """

    output_dir: Path = Path("demo")
    seed: int = 42
    quick: bool = False

    @property
    def size(self) -> DemoSize:
        """How much of everything."""
        return QUICK if self.quick else FULL

    @property
    def world(self) -> Path:
        """Folder of pictures and rows."""
        return self.output_dir / "world"


@dataclass(frozen=True)
class DemoSize:
    """How much of everything.

    Attributes:
        recipes: shipped folder of `look.yaml`, `sft.yaml` and `dpo.yaml`.
        look_scenes: training pictures of a single shape.
        asked: questions about each scene.
        caption_every: one training scene in so many has a caption as well, mostly an incomplete one.
        described: training scenes that the trained model describes, one preference pair each.
        questions: held-out questions asked; all held-out scenes are described.
    """

    recipes: str
    look_scenes: int
    asked: int
    caption_every: int
    train_scenes: int
    heldout_scenes: int
    described: int
    questions: int


FULL = DemoSize(
    "demo",
    look_scenes=2000,
    asked=10,
    caption_every=4,
    train_scenes=6000,
    heldout_scenes=400,
    described=1200,
    questions=1200,
)
QUICK = DemoSize(
    "demo/quick",
    look_scenes=64,
    asked=6,
    caption_every=1,
    train_scenes=96,
    heldout_scenes=24,
    described=24,
    questions=144,
)


def training_settings(config: DemoConfig, method: str, folder: str, data: Path, model: Path | None = None) -> Any:
    """The recipe of `method` with the demo's data, folders and seed."""
    flags: dict[str, Any] = {
        "config": recipes_folder() / config.size.recipes / f"{method}.yaml",
        "dataset_name": data,
        "output_dir": config.output_dir / folder,
        "seed": config.seed,
    }
    if model is not None:
        flags["model_name_or_path"] = model
    argv = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return read_settings(argv, CONFIGS[method])


@dataclass(frozen=True)
class Stage:
    """A part of the demo and its wall-clock time."""

    name: str
    seconds: float


class Stages:
    """Remembers how long each stage took."""

    def __init__(self) -> None:
        self.done: list[Stage] = []
        self._console = console_on(sys.stderr)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and time what happens inside it."""
        self._console.print(f"[bold cyan]{len(self.done) + 1}[/] [bold]{name}[/]")
        start = time.perf_counter()
        yield
        self.done.append(Stage(name, time.perf_counter() - start))
