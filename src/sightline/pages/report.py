"""Write a report as one HTML page that needs no other file: figures, tables, charts, curves, images."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sightline import __version__
from sightline.pages.browser import SampleBrowser, browser_json, picture_address
from sightline.pages.curves import CurveChart, draw_curves
from sightline.shown import shown
from sightline.types import Interval, Table

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from PIL.Image import Image

REPORT = "report.html"


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
    """Shares as dots on their 95% intervals, one line per row, one colour per series.

    Attributes:
        reach: None for an axis from 0 to 100%; for differences the share that the axis reaches on both sides of 0.
    """

    title: str
    series: tuple[str, ...]
    rows: tuple[IntervalRow, ...]
    caption: str = ""
    reach: float | None = None

    def place(self, share: float) -> float:
        """Where a share lies on the axis, in percent of its length."""
        low, high = (0.0, 1.0) if self.reach is None else (-self.reach, self.reach)
        return round(100 * min(max((share - low) / (high - low), 0.0), 1.0), 2)

    def shown(self, share: float) -> str:
        """A share as text: in percent, or in points where it is a difference."""
        return f"{100 * share:.1f}%" if self.reach is None else f"{100 * share:+.1f}"

    @property
    def ticks(self) -> tuple[str, ...]:
        """Five labels at even distances along the axis."""
        if self.reach is None:
            return ("0", "25", "50", "75", "100%")
        points = 100 * self.reach
        return (f"\u2212{points:g}", f"\u2212{points / 2:g}", "0", f"+{points / 2:g}", f"+{points:g}")


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
class Listing:
    """A table of words, whose cells wrap."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Folded:
    """A table behind a line that opens it."""

    summary: str
    table: Table | Listing


@dataclass(frozen=True)
class Notice:
    """A sentence that must not be missed.

    Attributes:
        tone: "bad" for a warning, "good" for what is well.
    """

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines for a terminal, each with what it does."""

    title: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Drawing:
    """HTML that whoever makes the report has drawn and escaped; it goes in as it is."""

    html: str


Block = Table | Drawing | Listing | Folded | Notice | IntervalChart | CurveChart | Gallery | SampleBrowser | Commands


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
        note: closes the foot.
        styles: CSS of its drawings, besides the page's own.
    """

    title: str
    subtitle: str = ""
    headlines: tuple[Headline, ...] = ()
    sections: tuple[Section, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    note: str = "Intervals are 95% and clustered by picture."
    styles: str = ""


def render_report(report: Report) -> str:
    """The page as HTML with styles, drawings and pictures inside; it follows the reader's light or dark setting."""
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    blocks = [block for section in report.sections for block in section.blocks]
    has_browser = any(isinstance(block, SampleBrowser) for block in blocks)
    return _template().render(report=report, version=__version__, written=written, has_browser=has_browser)


def page_environment(package: str) -> Environment:
    """Templates of a package's folder, whose values are escaped and shown, and must all be there."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _template() -> Template:
    environment = page_environment("sightline.pages")
    environment.filters["block_kind"] = lambda block: type(block).__name__
    environment.filters["picture"] = picture_address
    environment.filters["curves"] = draw_curves
    environment.filters["browser_json"] = browser_json
    environment.tests["finite"] = math.isfinite
    return environment.get_template("report.html.j2")
