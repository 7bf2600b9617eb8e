"""A preview on a terminal: coloured tokens, a line for each picture, a batch as a tree."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from sightline.console import console_on
from sightline.inspection.preview import CUT, FITS, BatchPreview, Preview, RowPreview, token_counts
from sightline.inspection.preview_page import cut_at, segment_tokens
from sightline.inspection.tokens import IMAGE, TRAINED, Token
from sightline.inspection.tree import Segment
from sightline.shown import shown

STYLES = {"read": "default", TRAINED: "bold black on green3", IMAGE: "bold black on sky_blue1", "behind": "strike red"}
LONGEST_SEGMENT = 100  # characters of a segment's text in the tree


def print_preview(preview: Preview) -> None:
    """The preview on stdout."""
    console = console_on(sys.stdout)
    legend = Text.assemble(
        ("trained", STYLES[TRAINED]), "  read  ", ("image", STYLES[IMAGE]), "  ", ("cut", STYLES["behind"])
    )
    console.print(legend)
    for row in preview.rows:
        console.print()
        _print_row(console, row, preview)
    if preview.batch is not None:
        console.print()
        _print_forest(console, preview.batch)


def _print_row(console: Console, row: RowPreview, preview: Preview) -> None:
    if row.error or row.fit is None:
        console.print(Text(shown(row.error), style="red"))
        return
    counts = token_counts(row)
    color = {FITS: "green", CUT: "yellow"}.get(row.fit.outcome, "red")
    title = Text.assemble((shown(row.name), "bold"), " \N{MIDDLE DOT} ", (row.fit.sentence, color))
    title.append(f" \N{MIDDLE DOT} {counts['read']:,} read, {counts[IMAGE]:,} image, {counts[TRAINED]:,} trained")
    console.print(title)
    for number, picture in enumerate(row.pictures, start=1):
        console.print(Text(f"  image {number}: {picture.sentence}", style="sky_blue3"))
    if row.augmented:
        console.print(Text(f"  augmentation {preview.plan.settings.training.augmentation}: the page shows samples"))
    for part in row.parts:
        label = Text(f"  {part.label}: ", style="bold") if part.label else Text("  ")
        console.print(label.append_text(_text(part.tokens, cut_at(row, preview))))


def _text(tokens: tuple[Token, ...], cut: int) -> Text:
    text = Text()
    marked = False
    for token in tokens:
        if token.start + token.count > cut and not marked:
            text.append(
                f"\N{BOX DRAWINGS HEAVY VERTICAL}max_length {cut:,}\N{BOX DRAWINGS HEAVY VERTICAL}", style="bold red"
            )
            marked = True
        words = (
            f"[image {token.image}: {token.count:,} tokens]"
            if token.kind == IMAGE
            else token.text.replace("\n", "\N{RETURN SYMBOL}\n")
        )
        text.append(shown(words), style=STYLES["behind" if token.start >= cut else token.kind])
    return text


def _print_forest(console: Console, batch: BatchPreview) -> None:
    forest = batch.forest
    title = Text.assemble(
        (f"A batch of {len(batch.rows)} rows as a forest", "bold"),
        f" \N{MIDDLE DOT} tokens: plain {forest.plain:,}, forest {forest.shared:,}: ",
        (f"{100 * forest.saved:.0f}% saved", "bold green"),
    )
    drawn = Tree(title, guide_style="dim")
    for tree in forest.trees:
        _grow(drawn, tree, batch)
    console.print(drawn)


def _grow(parent: Tree, segment: Segment, batch: BatchPreview) -> None:
    label = Text(f"{segment.tokens:,} ", style="bold")
    if len(segment.members) > 1:
        label.append(f"\N{MULTIPLICATION SIGN}{len(segment.members)} ", style="bold green")
    words = _text(segment_tokens(batch, segment), sys.maxsize)
    words.truncate(LONGEST_SEGMENT, overflow="ellipsis")
    label.append_text(words)
    if not segment.branches:
        label.append(f"  {', '.join(batch.labels[member] for member in segment.members)}", style="dim")
    node = parent.add(label)
    for branch in segment.branches:
        _grow(node, branch, batch)
