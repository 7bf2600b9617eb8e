"""Curves: gaps where nothing was finite, thinned however long, round numbers at the axes, a sentence for the blind."""

from __future__ import annotations

import math
import re
import time

import numpy as np
import pytest

from sightline.pages.curves import Curve, CurveChart, draw_curves, short_number


def drawn(*curves: Curve, smooth: bool = True, log: bool = False) -> str:
    return draw_curves(CurveChart("Loss", "step", "loss", curves, smooth=smooth, log=log))


def points(html: str, kind: str = "line") -> list[list[str]]:
    """The points of each stretch of the first line of a kind."""
    found = re.search(rf'<path class="{kind}"[^>]* d="([^"]*)"', html)
    return [part.split("L") for part in found[1].split("M")[1:]] if found else []


def labels(html: str, kind: str) -> list[str]:
    return re.findall(rf'<span class="{kind}"[^>]*>([^<]*)</span>', html)


def test_a_line_breaks_where_a_value_is_not_finite() -> None:
    html = drawn(Curve("a", range(6), (3.0, 2.0, math.nan, 1.0, math.inf, 0.5)))
    assert [len(part) for part in points(html)] == [2, 1, 1]
    assert 'aria-label="Loss: a 3 at step 0, 0.5 at 5"' in html


@pytest.mark.parametrize("value", [0.25, -3.0])
def test_one_point_is_a_dot_in_the_middle_of_labelled_axes(value: float) -> None:
    html = drawn(Curve("a", (7,), (value,)))
    assert 'class="dots"' in html and points(html) == [["500.0 500.0"]]
    assert labels(html, "x") == ["6", "7", "8"] and len(labels(html, "y")) >= 3


def test_an_axis_of_nothing_but_zeros_begins_at_zero() -> None:
    assert labels(drawn(Curve("a", (0, 1), (0.0, 0.0))), "y")[0] == "0"


def test_labels_of_values_that_hardly_differ_are_told_apart_and_rounding_is_no_difference() -> None:
    ticks = labels(drawn(Curve("a", (0, 1), (36.00001, 36.00009))), "y")
    assert len(set(ticks)) == len(ticks) >= 3
    ticks = labels(drawn(Curve("a", (0, 1), (36.0, 36.0 + 1e-14))), "y")
    assert len(set(ticks)) == len(ticks) and "36" in ticks


def test_no_point_at_all_is_still_a_chart() -> None:
    html = drawn(Curve("a", (1, 2), (math.nan, math.nan)))
    assert points(html) == [] and "a without points" in html


def test_a_hundred_thousand_points_keep_their_ends_and_their_spikes_and_cost_little() -> None:
    x, y = np.arange(100_000.0), np.ones(100_000)
    y[[4_321, 70_007]] = 9.0, -5.0
    y[50_000:50_010] = math.nan
    start = time.perf_counter()
    html = drawn(Curve("a", x, y), smooth=False)
    assert time.perf_counter() - start < 1
    first, second = points(html)
    whole = first + second
    assert len(whole) < 700 and len(html) < 15_000
    heights = [float(point.split()[1]) for point in whole]
    assert min(heights) < 50 and max(heights) > 950, "the highest and the lowest value are there"
    assert whole[0].startswith("0.0 ") and whole[-1].startswith("1000.0 ")
    assert labels(html, "x") == ["0", "20k", "40k", "60k", "80k"]


def test_a_long_curve_is_smoothed_over_its_points_which_stay_faint() -> None:
    html = drawn(Curve("a", range(400), [0.0, 1.0] * 200))
    assert len(points(html, "faint")[0]) == 400 == len(points(html)[0])
    assert float(points(html)[0][-1].split()[1]) == 500.0, "the mean of zeros and ones"


def test_a_logarithmic_axis_has_decades_and_says_what_it_is() -> None:
    html = drawn(Curve("a", range(4), (0.001, 0.1, 0.0, 100.0)), log=True)
    assert {"0.01", "1", "100"} <= set(labels(html, "y")) and "loss (log scale)" in html
    assert [len(part) for part in points(html)] == [2, 1], "0 has no place"


def test_several_lines_have_a_legend_and_the_sixth_is_dashed() -> None:
    html = drawn(*(Curve(f"<run {number}>", (0, 1), (number, 0)) for number in range(7)))
    assert html.count('class="dashed"') == 2 == html.count('class="line" style="--c:var(--series-0);stroke-dash') * 2
    assert "&lt;run 6&gt;" in html and "<run" not in html


def test_a_band_lies_under_a_line_that_has_intervals() -> None:
    html = drawn(Curve("a", (0, 1), (0.5, 0.6), (0.4, 0.5), (0.6, 0.7)))
    assert html.index('class="band"') < html.index('class="line"')


def test_numbers_at_axes_are_short() -> None:
    shown = [short_number(value) for value in (0, 0.25, 1200, 25_000, 1_500_000, 2e-5, -3)]
    assert shown == ["0", "0.25", "1200", "25k", "1.5M", "2e-5", "\N{MINUS SIGN}3"]
