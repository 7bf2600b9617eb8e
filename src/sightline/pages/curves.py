"""Training curves as an SVG drawing whose colours follow the page around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

# Colours that stand for the page's CSS variables; matplotlib writes them as they are, and the page's own take over.
_VARIABLES = {"#010101": "var(--soft)", "#020202": "var(--line)", "#030303": "var(--ink)"} | {
    f"#04040{index}": f"var(--series-{index})" for index in range(5)
}
SMOOTHED_FROM = 40
WINDOW_SHARE = 20


@dataclass(frozen=True)
class Curve:
    """Points of one line, in order of x; points that are not finite are left out."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class CurveChart:
    """Lines over common axes.

    Attributes:
        smooth: draw a running mean over the points of long curves, and the points themselves faintly.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    caption: str = ""
    smooth: bool = True


def draw_curves(chart: CurveChart) -> str:
    """The chart as an `<svg>` element without size and title, to be put into a page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text; ids are drawn from the chart, so that several drawings on a page do not share them.
    style = {"svg.fonttype": "none", "svg.hashsalt": repr(chart), "font.size": 9.5, "path.simplify": True}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(5.6, 2.9), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _style_axes(axes, chart)
        for index, curve in enumerate(chart.curves):
            _draw_curve(axes, curve, f"#04040{index % 5}", chart.smooth)
        if len(chart.curves) > 1:
            axes.legend(frameon=False, labelcolor="#030303", fontsize=9)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(buffer.getvalue())


def _style_axes(axes: Any, chart: CurveChart) -> None:
    axes.set_xlabel(chart.x_label, color="#010101")
    axes.set_ylabel(chart.y_label, color="#010101")
    axes.tick_params(colors="#010101", length=0, pad=5)
    axes.grid(axis="y", color="#020202", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#020202")


def _draw_curve(axes: Any, curve: Curve, colour: str, smooth: bool) -> None:
    points = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    x, y = [point[0] for point in points], [point[1] for point in points]
    is_long = smooth and len(points) >= SMOOTHED_FROM
    if is_long:
        axes.plot(x, y, color=colour, linewidth=0.9, alpha=0.28)
        y = _running_mean(y, max(2, len(y) // WINDOW_SHARE))
    marker = "o" if len(points) < 8 else None
    axes.plot(x, y, color=colour, linewidth=1.9, marker=marker, markersize=4, label=curve.name, solid_capstyle="round")


def _running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last `window` values at each point; of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    starts = np.maximum(np.arange(len(values)) - window + 1, 0)
    ends = np.arange(len(values)) + 1
    means: list[float] = ((sums[ends] - sums[starts]) / (ends - starts)).tolist()
    return means


def _themed(svg: str) -> str:
    drawing = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    head, rest = drawing.split(">", 1)
    view = head.split('viewBox="', 1)[1].split('"', 1)[0]
    return f'<svg viewBox="{view}" xmlns:xlink="http://www.w3.org/1999/xlink" role="img">{rest.strip()}'
