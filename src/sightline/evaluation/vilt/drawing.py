"""Draw an alignment: the image, and for each word a copy that is bright where the word is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from sightline.models.vilt.alignment import Alignment

COLUMNS = 4
INCHES = 2.4


def draw_alignment(alignment: Alignment, path: Path) -> None:
    """Writes a PNG; each word's brightest patch is fully bright, whatever its weight."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("", None), *zip(alignment.words, alignment.maps, strict=True)]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    height, width = alignment.picture.shape[:2]
    figure = Figure(figsize=(columns * INCHES, rows * (INCHES * height / width + 0.35)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (word, weights) in zip(axes, panels, strict=False):
        axis.imshow(alignment.picture)
        if weights is not None:
            shares = weights / weights.max()
            axis.imshow(_enlarged(shares, height, width), cmap="inferno", alpha=0.65, vmin=0, vmax=1)
        axis.set_title(word or f"cost {alignment.cost:.2f}", fontsize=10)
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(path, format="png", dpi=120)


def _enlarged(map_hw: np.ndarray, height: int, width: int) -> np.ndarray:
    """The map with each patch as large as in the picture."""
    rows = np.arange(height) * map_hw.shape[0] // height
    columns = np.arange(width) * map_hw.shape[1] // width
    return map_hw[np.ix_(rows, columns)]
