"""Draw curves over common axes as inline SVG, thinned to what a screen shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from sightline.shown import shown

SMOOTHED_FROM = 40
WINDOW_SHARE = 20
MAX_BUCKETS = 300  # of which a thinned curve keeps the lowest and the highest point each
MARKED_TO = 12  # points that get a dot each
COLOURS = 5
SIDE = 1000  # of the drawing, which a page stretches to its width
TICKS = 5
NOISE = 1e-9  # of a value, by which equal ones may differ


@dataclass(frozen=True)
class Curve:
    """Points of one line, in order of x; the line breaks where y is not finite.

    Attributes:
        low, high: ends of the interval of each point, drawn as a band; empty where there are none.
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    low: Sequence[float] | np.ndarray = ()
    high: Sequence[float] | np.ndarray = ()


@dataclass(frozen=True)
class CurveChart:
    """Lines over common axes.

    Attributes:
        smooth: draw a running mean over the points of long curves, and the points themselves faintly.
        log: a logarithmic y axis, on which only points above 0 have a place.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    caption: str = ""
    smooth: bool = True
    log: bool = False


def draw_curves(chart: CurveChart) -> str:
    """The chart without its title as HTML, as wide as its place and with letters of the page's size.

    A curve of any length costs about as much as one of 600 points: of more, each of 300 stretches of x keeps its
    lowest and its highest.
    """
    lines = [_Line.of(curve, index, chart) for index, curve in enumerate(chart.curves)]
    across = _axis([line.x for line in lines], whole=True)
    up = _axis([part for line in lines for part in line.spread], log=chart.log)
    drawing = [f'<path class="grid" d="{"".join(f"M0 {_down(up.place(tick))}H{SIDE}" for tick in up.ticks)}"/>']
    drawing += [part for line in lines for part in line.drawn(across, up)]
    letters = [f'<span class="y" style="bottom:{up.percent(tick)}%">{up.label(tick)}</span>' for tick in up.ticks]
    letters += [
        f'<span class="x" style="left:{across.percent(one)}%">{across.label(one)}</span>' for one in across.ticks
    ]
    named = escape(shown(f"{chart.title}: {_told(chart)}"))
    y_label = f"{chart.y_label} (log scale)" if chart.log else chart.y_label
    return (
        f'{_legend(lines)}<div class="plot" role="img" aria-label="{named}"><div class="y-name">{_text(y_label)}</div>'
        f'<div class="field"><svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(drawing)}</svg>{"".join(letters)}</div><div class="x-name">{_text(chart.x_label)}</div></div>'
    )


@dataclass(frozen=True)
class _Axis:
    """One direction: what it spans, and where its labels stand."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: np.ndarray | float) -> np.ndarray:
        """Where values lie, from 0 to the drawing's side; the axis is of their logarithm where `log`."""
        return SIDE * (np.asarray(value, float) - self.low) / (self.high - self.low)

    def percent(self, value: float) -> str:
        """The same in percent."""
        return f"{float(self.place(value)) * 100 / SIDE:.2f}"

    def label(self, tick: float) -> str:
        """A tick as a reader writes it."""
        if self.log:
            return short_number(10**tick)
        step = min((abs(b - a) for a, b in itertools.pairwise(self.ticks)), default=1.0)
        largest = max(map(abs, self.ticks))
        return short_number(tick, max(4, math.ceil(math.log10(largest / step)) + 1) if largest else 4)


def short_number(value: float, digits: int = 4) -> str:
    """A number in few letters.

    >>> [short_number(value) for value in (0, 0.25, 1200, 25000, 1500000, 0.00002)]
    ['0', '0.25', '1200', '25k', '1.5M', '2e-5']
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= abs(value) < 1e12:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[unit]:.{digits}g}{unit}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:.{digits}g}"
    mantissa, letter, power = text.partition("e")
    text = f"{mantissa}e{int(power)}" if letter else text
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text


@dataclass(frozen=True)
class _Line:
    """A curve as it is drawn: thinned, and on a logarithmic axis as logarithms.

    Attributes:
        faint: the points behind a running mean; empty where none is drawn.
    """

    name: str
    index: int
    x: np.ndarray
    y: np.ndarray
    faint: tuple[np.ndarray, np.ndarray]
    band: tuple[np.ndarray, np.ndarray, np.ndarray]
    log: bool

    @classmethod
    def of(cls, curve: Curve, index: int, chart: CurveChart) -> _Line:
        x, y = np.asarray(curve.x, float), _scaled(curve.y, chart.log)
        known, nothing = np.isfinite(y), np.zeros(0)
        faint, band = (nothing, nothing), (nothing, nothing, nothing)
        if len(curve.low):
            low, high = _scaled(curve.low, chart.log), _scaled(curve.high, chart.log)
            kept = np.isfinite(low) & np.isfinite(high)
            band = (x[kept], low[kept], high[kept])
        thinned = _thinned(x, y)
        if chart.smooth and known.sum() >= SMOOTHED_FROM:
            faint, mean = thinned, np.full(len(y), np.nan)
            mean[known] = _running_mean(y[known], max(2, int(known.sum()) // WINDOW_SHARE))
            thinned = _thinned(x, mean)
        return cls(curve.name, index, *thinned, faint, band, chart.log)

    @property
    def spread(self) -> tuple[np.ndarray, ...]:
        """All that the y axis must reach."""
        return self.y, self.faint[1], self.band[1], self.band[2]

    @property
    def style(self) -> str:
        """Its colour, and dashes where the colours have begun again."""
        dashes = ";stroke-dasharray:7 5" if self.index % (2 * COLOURS) >= COLOURS else ""
        return f"--c:var(--series-{self.index % COLOURS}){dashes}"

    def drawn(self, across: _Axis, up: _Axis) -> list[str]:
        """Its parts, those behind first."""
        parts = []
        if len(self.band[0]):
            x, low, high = across.place(self.band[0]), up.place(self.band[1]), up.place(self.band[2])
            edge = [f"{one:.1f} {_down(two)}" for one, two in zip([*x, *x[::-1]], [*high, *low[::-1]], strict=True)]
            parts.append(f'<path class="band" style="{self.style}" d="M{"L".join(edge)}Z"/>')
        for kind, (x, y) in (("faint", self.faint), ("line", (self.x, self.y))):
            if len(x):
                parts.append(f'<path class="{kind}" style="{self.style}" d="{_path(across.place(x), up.place(y))}"/>')
        known = np.isfinite(self.y)
        if 0 < known.sum() <= MARKED_TO:
            dots = zip(across.place(self.x[known]), up.place(self.y[known]), strict=True)
            d = "".join(f"M{x:.1f} {_down(y)}h.01" for x, y in dots)
            parts.append(f'<path class="dots" style="--c:var(--series-{self.index % COLOURS})" d="{d}"/>')
        return parts


def _scaled(values: Sequence[float] | np.ndarray, log: bool) -> np.ndarray:
    found = np.asarray(values, float)
    if not log:
        return np.where(np.isfinite(found), found, np.nan)
    usable = np.isfinite(found) & (found > 0)
    return np.log10(found, out=np.full(len(found), np.nan), where=usable)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest point of each stretch, in order, with a gap wherever one was between them."""
    known = np.flatnonzero(np.isfinite(y))
    if len(known) <= 2 * MAX_BUCKETS and len(y) <= 2 * len(known) + 2:
        return x, y
    kept = known
    if len(known) > 2 * MAX_BUCKETS:
        buckets = np.array_split(known, MAX_BUCKETS)
        ends = [(bucket[np.argmin(y[bucket])], bucket[np.argmax(y[bucket])]) for bucket in buckets]
        kept = np.unique([known[0], *np.ravel(ends), known[-1]])
    missing = np.cumsum(~np.isfinite(y))
    gaps = np.flatnonzero(np.diff(missing[kept]) > 0) + 1
    return np.insert(x[kept], gaps, x[kept][gaps]), np.insert(y[kept], gaps, np.nan)


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last `window` values at each point; of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(len(values)) + 1
    starts = np.maximum(ends - window, 0)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _axis(parts: Sequence[np.ndarray], whole: bool = False, log: bool = False) -> _Axis:
    """What the values span, a little more in y, with about four labels at round numbers."""
    values = np.concatenate([np.asarray(part, float) for part in parts] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low <= NOISE * max(abs(low), abs(high)):
        room = 1.0 if whole else abs(low) / 10 or 1.0
        # A share or a loss that is always 0 has nothing below.
        low, high = low - room if low or whole else 0.0, high + room
    elif not whole:
        low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    return _Axis(low, high, _ticks(low, high, whole or (log and high - low >= 2)), log)


def _ticks(low: float, high: float, whole: bool) -> tuple[float, ...]:
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    step = max(1.0, math.ceil(step)) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _down(place: np.ndarray | float) -> str:
    return f"{SIDE - float(place):.1f}"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    parts: list[str] = []
    joined = False
    for one, two in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(two):
            parts.append(f"{'L' if joined else 'M'}{one:.1f} {SIDE - two:.1f}")
        joined = math.isfinite(two)
    return "".join(parts)


def _legend(lines: Sequence[_Line]) -> str:
    if len(lines) < 2:
        return ""
    names = (
        f'<span><i class="{"dashed" if "dash" in line.style else ""}" style="--c:var(--series-{line.index % COLOURS})">'
        f"</i>{_text(line.name)}</span>"
        for line in lines
        if len(line.x)
    )
    return f'<div class="legend">{"".join(names)}</div>'


def _told(chart: CurveChart) -> str:
    """The chart in a sentence, for those who do not see it."""
    told = []
    for curve in chart.curves:
        x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
        known = np.flatnonzero(np.isfinite(y))
        if len(known):
            first, last = known[0], known[-1]
            told.append(f"{curve.name} {y[first]:.4g} at {chart.x_label} {x[first]:g}, {y[last]:.4g} at {x[last]:g}")
        elif len(x):
            told.append(f"{curve.name} without points")
    return "; ".join(told)


def _text(text: str) -> str:
    return escape(shown(text))
