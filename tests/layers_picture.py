"""Draw docs/pictures/layers.svg: the layers that the architecture test enforces, with their folders' sentences."""

from __future__ import annotations

from html import escape
from pathlib import Path
from textwrap import wrap

from tests.layers import ROWS
from tests.project_tree import ROOT, SOURCE, sentence

PICTURE: Path = ROOT / "docs" / "pictures" / "layers.svg"
WIDTH, MARGIN, GAP, PAD = 920, 24, 12, 16
ARROW, LINE, CHARACTER = 16, 17, 7.2  # pixels: between rows, from line to line, and a letter of 13 px at its widest
NAME_COLUMN = 96
STYLE = """
  .card { fill: #ffffff; stroke: #e2e8f0 } .box { fill: #eff6ff; stroke: #3b82f6 }
  .floor { fill: #f1f5f9; stroke: #94a3b8 }
  .name { fill: #1e3a8a; font-weight: 600 } .words { fill: #334155 } .arrow { stroke: #64748b }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0f172a; stroke: #334155 } .box { fill: #172a4d; stroke: #60a5fa }
    .floor { fill: #1e293b; stroke: #64748b }
    .name { fill: #bfdbfe } .words { fill: #cbd5e1 } .arrow { stroke: #94a3b8 }
  }
"""
TITLE = "An import may only point down. Neighbours in a row do not import each other."
FLOOR = "run folders, settings, processes, records, errors, terminal and machine; everything above uses them:"
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'role="img" aria-labelledby="title" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
)


def draw_layers() -> str:
    """The picture: a box for each folder, highest layer first, and one strip for all from `runs` down."""
    first_of_floor = ROWS.index(("runs",))
    rows = [row for row in ROWS[:first_of_floor] if (SOURCE / row[0]).is_dir()]
    floor = ", ".join(name for row in ROWS[first_of_floor:] for name in row)
    top, parts = MARGIN + 28, []
    for row in rows:
        height, drawn = _row(row, top)
        parts += [*drawn, _arrow(top + height)]
        top += height + ARROW
    lines = [f"The floor: {FLOOR}", *wrap(f"{floor}.", _letters(WIDTH - 2 * MARGIN))]
    height = LINE * len(lines) + 18
    parts += [_rectangle("floor", MARGIN, top, WIDTH - 2 * MARGIN, height), *_words(lines, MARGIN + PAD, top + 22)]
    bottom = top + height + MARGIN
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{bottom - 1}" rx="14"/>'
    title = f'<text class="words" x="{MARGIN}" y="34" font-size="15">{TITLE}</text>'
    head = HEAD.format(width=WIDTH, height=bottom)
    return "\n".join(
        [head, f'<title id="title">{TITLE}</title>', f"<style>{STYLE}</style>", card, title, *parts, "</svg>", ""]
    )


def _row(names: tuple[str, ...], top: int) -> tuple[int, list[str]]:
    """The height of a row, and its boxes: one alone has its name at the left, neighbours have theirs above."""
    width = (WIDTH - 2 * MARGIN - GAP * (len(names) - 1)) / len(names)
    aside = NAME_COLUMN if len(names) == 1 else 0
    abouts = [wrap(sentence(SOURCE / name / "__init__.py"), _letters(width - aside)) for name in names]
    above = 0 if aside else LINE + 2
    height = above + LINE * max(map(len, abouts)) + 18
    drawn = []
    for place, (name, about) in enumerate(zip(names, abouts, strict=True)):
        left = MARGIN + place * (width + GAP)
        head = f'<text class="name" x="{left + PAD:g}" y="{top + 22:g}" font-size="15">{name}</text>'
        words = _words(about, left + PAD + aside, top + 22 + above)
        drawn += [_rectangle("box", left, top, width, height), head, *words]
    return height, drawn


def _letters(width: float) -> int:
    return int((width - 2 * PAD) / CHARACTER)


def _rectangle(kind: str, left: float, top: float, width: float, height: float) -> str:
    place = f'x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" {place} rx="8" stroke-width="1.5"/>'


def _words(lines: list[str], left: float, top: float) -> list[str]:
    plain = [escape(line.replace("`", "")) for line in lines]
    return [
        f'<text class="words" x="{left:g}" y="{top + LINE * index:g}" font-size="13">{line}</text>'
        for index, line in enumerate(plain)
    ]


def _arrow(top: float) -> str:
    middle, end = WIDTH / 2, top + ARROW - 3
    head = f"M {middle - 4:g} {end - 5:g} L {middle:g} {end:g} L {middle + 4:g} {end - 5:g}"
    return f'<path class="arrow" d="M {middle:g} {top + 2:g} V {end:g} {head}" fill="none" stroke-width="1.5"/>'
