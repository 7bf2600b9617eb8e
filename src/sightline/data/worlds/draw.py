"""Draw a scene as a small antialiased RGB picture."""

from __future__ import annotations

import math
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from sightline.data.worlds.scene import MAX_VALUE, BarChart, Scene, Shape, Word
from sightline.errors import ConfigError

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
