"""Generated scenes: random shapes, bars and words with sizes and places, drawn as images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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


# Each pixel is the mean of SUPERSAMPLE x SUPERSAMPLE drawn ones: Pillow draws edges without antialiasing.
SUPERSAMPLE = 4
MIN_IMAGE_SIZE = 32
RGB = {
    "red": (220, 30, 35),
    "yellow": (245, 220, 30),
    "green": (30, 150, 60),
    "blue": (40, 80, 215),
    "black": (25, 25, 25),
}
INK, DARK_LINE, LIGHT_LINE = (25, 25, 25), (110, 110, 110), (205, 205, 205)
# Width of a grid cell, in pictures: the margin around the grid keeps shifted shapes and tails of letters inside.
CELL = 0.46
# Height of a printed line, in pictures: one lies at the top or at the bottom.
LINE = 0.305
# Radius of the circle around a shape, in cells; a triangle fills less of it than a square.
RADIUS = {"small": 0.24, "large": 0.4}
STRETCH = {"circle": 1.0, "square": 1.2, "triangle": 1.3}


def draw_scene(scene: Scene, image_size: int = 64) -> Image.Image:
    """The scene as a square picture, `image_size` pixels wide, RGB."""
    if image_size < MIN_IMAGE_SIZE:
        raise ConfigError(
            f"image_size: expected at least {MIN_IMAGE_SIZE} pixels, smaller words cannot be read; got {image_size}."
        )
    side = image_size * SUPERSAMPLE
    canvas = Image.new("RGB", (side, side), scene.background)
    pen = ImageDraw.Draw(canvas)
    for shape in scene.shapes:
        _draw_shape(pen, shape, side)
    if scene.word:
        _draw_word(pen, scene.word, side)
    if scene.chart:
        _draw_chart(pen, scene.chart, side)
    return canvas.reduce(SUPERSAMPLE)


def _draw_shape(pen: ImageDraw.ImageDraw, shape: Shape, side: int) -> None:
    cell = CELL * side
    radius = RADIUS[shape.size] * STRETCH[shape.shape] * cell
    x = side / 2 + (shape.column - 0.5 + shape.shift[0]) * cell
    y = side / 2 + (shape.row - 0.5 + shape.shift[1]) * cell
    fill = RGB[shape.colour]
    if shape.shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        return
    angle = math.radians(shape.angle_degrees)
    cosine, sine = math.cos(angle) * radius, math.sin(angle) * radius
    outline = _outline(shape.shape)
    pen.polygon([(x + u * cosine + v * sine, y - u * sine + v * cosine) for u, v in outline], fill=fill)


@cache
def _outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Corners inside the unit circle, y pointing down."""
    corners, first = {"square": (4, 45), "triangle": (3, -90)}[shape]
    angles = [math.radians(first + 360 * corner / corners) for corner in range(corners)]
    return tuple((math.cos(angle), math.sin(angle)) for angle in angles)


def _draw_word(pen: ImageDraw.ImageDraw, word: Word, side: int) -> None:
    line = LINE * side
    x = side / 2 + word.shift[0] * line
    y = side / 2 + ((-1 if word.place == "top" else 1) + word.shift[1]) * line
    font = _font(round(1.05 * line))
    pen.text((x, y), word.text, fill=INK, font=font, anchor="mm", stroke_width=side // 160, stroke_fill=INK)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _draw_chart(pen: ImageDraw.ImageDraw, chart: BarChart, side: int) -> None:
    """Bars over lines one unit apart; the line at three is dark, so that values can be read without labels."""
    unit, base, left, right = side * 9 / 64, side * 60 / 64, side * 4 / 64, side * 60 / 64
    thin = max(1, side // 128)
    slot = (right - left) / len(chart.bars)
    for index, bar in enumerate(chart.bars):
        middle, top = left + (index + 0.5) * slot, base - bar.value * unit
        pen.rectangle((middle - 0.34 * slot, top, middle + 0.34 * slot, base), fill=RGB[bar.colour])
    for value in range(1, MAX_VALUE + 1):
        y = base - value * unit
        pen.rectangle((left, y - thin / 2, right, y + thin / 2), fill=DARK_LINE if value == 3 else LIGHT_LINE)
    pen.rectangle((left, base, right, base + 2 * thin), fill=INK)
