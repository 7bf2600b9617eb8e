"""Sample small scenes with known truth: shapes on a loose 2 x 2 grid, a printed word, a bar chart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from sightline.errors import ConfigError

Split = Literal["train", "heldout"]
T = TypeVar("T")

SPLITS: tuple[Split, ...] = ("train", "heldout")
SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "yellow", "green", "blue", "black")
SIZES = ("small", "large")
WORDS = ("up", "go", "cat", "sun", "fish", "lamp")
CELLS = ("top left", "top right", "bottom left", "bottom right")
GRID = 2  # rows and columns of cells
MAX_VALUE = 6

WORD_SHARE = 0.25
CHART_SHARE = 0.25
HELDOUT_SHARE = 0.2
SHAPE_COUNT_SHARES = (0.3, 0.35, 0.2, 0.15)


@dataclass(frozen=True)
class Shape:
    """One coloured figure in a cell of the grid.

    Attributes:
        cell: index into `CELLS`, row by row from the top left.
        shift: how far its centre lies from the cell's, (right, down), in cells.
        angle_degrees: rotation, anticlockwise.
    """

    shape: str
    colour: str
    size: str
    cell: int
    shift: tuple[float, float] = (0.0, 0.0)
    angle_degrees: float = 0.0

    @property
    def column(self) -> int:
        """0 at the left, 1 at the right."""
        return self.cell % GRID

    @property
    def row(self) -> int:
        """0 at the top, 1 at the bottom."""
        return self.cell // GRID

    @property
    def name(self) -> str:
        """What a question calls it: "red circle"."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Word:
    """One printed word, centred in the top or the bottom row of the grid.

    Attributes:
        place: "top" or "bottom".
        shift: how far its centre lies from the row's, (right, down), in cells.
    """

    text: str
    place: str
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Bar:
    """One bar of a chart; its value is a whole number from 1 to `MAX_VALUE`."""

    colour: str
    value: int


@dataclass(frozen=True)
class BarChart:
    """Bars from left to right, no colour twice."""

    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Scene:
    """What a picture holds: shapes in reading order with perhaps a word, or a chart.

    Attributes:
        background: red, green and blue, 0 to 255; always light.
    """

    shapes: tuple[Shape, ...] = ()
    word: Word | None = None
    chart: BarChart | None = None
    background: tuple[int, int, int] = (255, 255, 255)


def world_scenes(seed: int, scenes: int, split: Split) -> list[Scene]:
    """The first `scenes` scenes of a split; scene number i is the same whatever the number asked for."""
    if split not in SPLITS:
        raise ConfigError(f"split: expected one of {', '.join(SPLITS)}, got '{split}'.")
    return [
        _scene_of_split(np.random.default_rng([seed, index, SPLITS.index(split)]), split) for index in range(scenes)
    ]


def single_shape_scenes(seed: int, scenes: int, split: Split) -> list[Scene]:
    """Scenes of a split that hold one shape and nothing else: what a new model learns to see by."""
    drawn = (
        _scene_of_split(np.random.default_rng([seed, index, SPLITS.index(split), 1]), split, _sample_single)
        for index in range(scenes)
    )
    return list(drawn)


def sample_scene(rng: np.random.Generator) -> Scene:
    """One scene of any split."""
    background = _sample_background(rng)
    draw = rng.random()
    if draw < CHART_SHARE:
        return Scene(chart=_sample_chart(rng), background=background)
    word = _sample_word(rng) if draw < CHART_SHARE + WORD_SHARE else None
    return Scene(shapes=_sample_shapes(rng, word), word=word, background=background)


def content_key(scene: Scene) -> str:
    """What the scene holds, as text; jitter, rotation and background do not change it."""
    parts = [f"{shape.size} {shape.name} {CELLS[shape.cell]}" for shape in scene.shapes]
    if scene.word:
        parts.append(f"'{scene.word.text}' {scene.word.place}")
    if scene.chart:
        parts.extend(f"{bar.colour} {bar.value}" for bar in scene.chart.bars)
    return "; ".join(parts)


def split_of(scene: Scene) -> Split:
    """The split that owns the scene's content: no seed can put one content into both."""
    digest = hashlib.sha256(content_key(scene).encode()).digest()
    return "heldout" if int.from_bytes(digest[:4], "big") < HELDOUT_SHARE * 2**32 else "train"


def cells_of_word(word: Word | None) -> set[int]:
    """The cells that a word covers."""
    if word is None:
        return set()
    return {0, 1} if word.place == "top" else {2, 3}


def pick(rng: np.random.Generator, items: tuple[T, ...] | list[T]) -> T:
    """One item, each as likely as the others."""
    return items[int(rng.integers(len(items)))]


def _scene_of_split(
    rng: np.random.Generator, split: Split, sample: Callable[[np.random.Generator], Scene] = sample_scene
) -> Scene:
    while True:
        scene = sample(rng)
        if split_of(scene) == split:
            return scene


def _sample_background(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(228, 256, 3))
    return (red, green, blue)


def _sample_single(rng: np.random.Generator) -> Scene:
    cell = int(rng.integers(len(CELLS)))
    return Scene((_sample_shape(rng, SHAPES, COLOURS, cell),), background=_sample_background(rng))


def _sample_shape(rng: np.random.Generator, shapes: tuple[str, ...], colours: tuple[str, ...], cell: int) -> Shape:
    shift, angle_degrees = _shift(rng, 0.12, 0.12), float(rng.uniform(-5, 5))
    return Shape(pick(rng, shapes), pick(rng, colours), pick(rng, SIZES), cell, shift, angle_degrees)


def _sample_shapes(rng: np.random.Generator, word: Word | None) -> tuple[Shape, ...]:
    cells = [cell for cell in range(len(CELLS)) if cell not in cells_of_word(word)]
    count = 1 + int(np.searchsorted(np.cumsum(SHAPE_COUNT_SHARES), rng.random() * 0.999))
    # Drawing from a few colours and shapes makes things repeat, so that counts above one are common.
    colours = _some_of(rng, COLOURS, 2 + int(rng.integers(3)))
    shapes = _some_of(rng, SHAPES, 2 + int(rng.integers(3)))
    chosen = sorted(int(cell) for cell in rng.permutation(cells)[:count])
    return tuple(_sample_shape(rng, shapes, colours, cell) for cell in chosen)


def _sample_word(rng: np.random.Generator) -> Word:
    return Word(pick(rng, WORDS), pick(rng, ("top", "bottom")), _shift(rng, 0.3, 0.06))


def _sample_chart(rng: np.random.Generator) -> BarChart:
    colours = _some_of(rng, COLOURS, 2 + int(rng.integers(2)))
    return BarChart(tuple(Bar(colour, 1 + int(rng.integers(MAX_VALUE))) for colour in colours))


def _some_of(rng: np.random.Generator, items: tuple[str, ...], count: int) -> tuple[str, ...]:
    return tuple(items[index] for index in rng.permutation(len(items))[:count])


def _shift(rng: np.random.Generator, right: float, down: float) -> tuple[float, float]:
    return (float(rng.uniform(-right, right)), float(rng.uniform(-down, down)))
