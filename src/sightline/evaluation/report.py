"""A report as one HTML page that needs no other file: headline figures, tables, charts, curves, pictures."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from sightline import __version__
from sightline.evaluation.curves import CurveChart, draw_curves
from sightline.types import Interval, Table

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL.Image import Image

MAX_PICTURE_SIDE = 360
SMALL_PICTURE_SIDE = 128


@dataclass(frozen=True)
class Headline:
    """One large figure.

    Attributes:
        tone: "good" or "bad" to colour it; neither by default.
    """

    value: str
    label: str
    detail: str = ""
    tone: str = ""


@dataclass(frozen=True)
class IntervalRow:
    """One line of an interval chart: a label and one interval per series, or None where a series has none."""

    label: str
    intervals: tuple[Interval | None, ...]


@dataclass(frozen=True)
class IntervalChart:
    """Shares from 0 to 100% as dots on their 95% intervals, one line per row, one colour per series."""

    title: str
    series: tuple[str, ...]
    rows: tuple[IntervalRow, ...]
    caption: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was answered, and whether it is right; None where nobody judged."""

    label: str
    text: str
    right: bool | None = None


@dataclass(frozen=True)
class Card:
    """A picture with a question, the gold answer, and the answers given."""

    image: Image | None
    question: str
    gold: str
    verdicts: tuple[Verdict, ...]
    kind: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards side by side."""

    title: str
    cards: tuple[Card, ...]
    caption: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines for a terminal, each with what it does."""

    title: str
    lines: tuple[tuple[str, str], ...]


Block = Table | IntervalChart | CurveChart | Gallery | Commands


@dataclass(frozen=True)
class Section:
    """A titled part of a report."""

    title: str
    blocks: tuple[Block, ...]
    text: str = ""


@dataclass(frozen=True)
class Report:
    """All of a page.

    Attributes:
        facts: (name, value) pairs for the foot: model, data, machine, commit.
    """

    title: str
    subtitle: str = ""
    headlines: tuple[Headline, ...] = ()
    sections: tuple[Section, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


def render_report(report: Report) -> str:
    """The page as HTML with styles, drawings and pictures inside; it follows the reader's light or dark setting."""
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return _template().render(report=report, version=__version__, written=written)


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sightline.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["block_kind"] = lambda block: type(block).__name__
    environment.filters["picture"] = picture_address
    environment.filters["curves"] = draw_curves
    environment.filters["percent"] = lambda share: round(100 * min(max(share, 0.0), 1.0), 2)
    return environment.get_template("report.html.j2")


def picture_address(image: Image) -> str:
    """A data address of the picture, at most `MAX_PICTURE_SIDE` pixels wide and high; small ones stay exact."""
    copy = image.convert("RGB")
    copy.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    exact = max(image.size) <= SMALL_PICTURE_SIDE
    buffer = BytesIO()
    if exact:
        copy.save(buffer, format="PNG", optimize=True)
    else:
        copy.save(buffer, format="JPEG", quality=86)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
