"""The page of a preview: rows with coloured tokens, images as cut, a batch as a tree."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.inspection.preview import CUT, FITS, BatchPreview, Preview, RowPreview, token_counts
from sightline.inspection.tokens import Segment, Token
from sightline.pages.browser import picture_address
from sightline.pages.report import Drawing, Headline, Notice, Report, Section, page_environment, render_report
from sightline.runs import write_text
from sightline.types import Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL.Image import Image

PICTURE_SIDE = 520
LEGEND = (
    "Green tokens are trained: the loss is taken on them. Others are only read. A blue chip stands for the tokens of a "
    "picture. Struck tokens lie behind max_length."
)


def write_page(preview: Preview, path: str | Path) -> Path:
    """Writes the page, which needs no other file; returns its path."""
    return write_text(Path(path), render_report(preview_report(preview)))


def preview_report(preview: Preview) -> Report:
    """The preview as a page."""
    plan = preview.plan
    limit = plan.encoding.max_length
    sections = [Section("Rows as the model reads them", tuple(_row_blocks(preview)), LEGEND)]
    if preview.batch is not None:
        text = (
            "What the rows of a batch share stands once, at the left, and is computed once; where they part, branches "
            "go to the right. The loss is the same as that of plain rows."
        )
        sections.append(Section("A batch as a forest", (_drawing("forest", preview=preview),), text))
    form = Table("", ("what", "how"), preview.asking.pairs, is_summed=False)
    sections.append(Section("How the model is asked", (form,)))
    model = (
        plan.source.model if isinstance(plan.source.model, str) else plan.settings.script.preset or "a model in memory"
    )
    return Report(
        title="What the model will see",
        subtitle=f"{plan.name}, as {plan.method} feeds it to {model}.",
        headlines=_headlines(preview),
        sections=tuple(sections),
        facts=(
            ("model", str(model)),
            ("family", plan.facts.name if plan.facts else "not in the table: plain rows"),
            ("processor", type(plan.source.processor).__name__),
            ("data", f"{plan.name}, {len(plan.rows):,} rows"),
            ("max_length", "none" if limit is None else f"{limit:,}, {plan.encoding.length_policy}"),
        ),
        note="Rows count from 1 in their names, and from 0 in --rows.",
        styles=_environment().get_template("preview.css").render(),
    )


def _headlines(preview: Preview) -> tuple[Headline, ...]:
    usable = [row for row in preview.rows if not row.error]
    if not usable:
        return (Headline("0", "rows that can be used", f"of {len(preview.rows)} shown", "bad"),)
    longest = max(row.fit.length for row in usable if row.fit)
    fitting = sum(row.fit is not None and row.fit.outcome in (FITS, CUT) for row in usable)
    trained, total = sum(row.trained for row in usable), sum(row.total for row in usable)
    lines = [
        Headline(
            f"{fitting} of {len(preview.rows)}",
            "rows train",
            "of those shown",
            "" if fitting == len(preview.rows) else "bad",
        ),
        Headline(f"{longest:,}", "tokens, the longest row", f"max_length {preview.plan.encoding.max_length or 'none'}"),
        Headline(
            f"{100 * trained / total:.1f}%",
            "of tokens are trained",
            f"{trained:,} of {total:,}",
            "" if trained else "bad",
        ),
    ]
    if preview.batch is not None:
        forest = preview.batch.forest
        lines.append(
            Headline(
                f"{100 * forest.saved:.0f}%",
                "of a batch's tokens saved",
                f"{forest.plain:,} plain, {forest.shared:,} as a forest",
                "good",
            )
        )
    return tuple(lines)


def _row_blocks(preview: Preview) -> list[Drawing | Notice]:
    return [
        Notice(row.error, "bad") if row.error else _drawing("row", row=row, preview=preview, counts=token_counts(row))
        for row in preview.rows
    ]


def _drawing(macro: str, **values: object) -> Drawing:
    module = _environment().get_template("preview.html.j2").module
    return Drawing(str(getattr(module, macro)(**values)))


def segment_tokens(batch: BatchPreview, segment: Segment) -> tuple[Token, ...]:
    """The tokens that a segment holds."""
    end = segment.start + segment.tokens
    return tuple(token for token in batch.texts[segment.members[0]] if segment.start <= token.start < end)


def cut_at(row: RowPreview, preview: Preview) -> int:
    """The position at which the answer's end is cut; behind all tokens where nothing is."""
    limit = preview.plan.encoding.max_length
    struck = limit is not None and preview.plan.encoding.length_policy != "shorten_prompt_text"
    return limit if struck and limit is not None and row.fit and row.fit.outcome != FITS else sys.maxsize


@cache
def _environment() -> Environment:
    environment = page_environment("sightline.inspection")
    environment.filters["picture"] = _address
    environment.filters["segment_tokens"] = lambda segment, batch: segment_tokens(batch, segment)
    environment.filters["cut_at"] = cut_at
    environment.globals["endless"] = sys.maxsize
    return environment


def _address(image: Image, max_side: int = PICTURE_SIDE) -> str:
    return picture_address(image, max_side)
