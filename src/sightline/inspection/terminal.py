"""Print a diagnosis, a data check or a preview on a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from sightline.console import console_on, print_pairs, print_table
from sightline.data.checking.check import DataCheck
from sightline.data.checking.findings import ERROR, NOTE, WARNING
from sightline.inspection.check import (
    PAGE,
    answers_table,
    check_json,
    count_text,
    first_cases,
    leaks_table,
    overview_table,
    verdict,
)
from sightline.inspection.environment import Environment, Package
from sightline.inspection.preview import CUT, FITS, BatchPreview, Preview, RowPreview, token_counts
from sightline.inspection.preview_page import cut_at, segment_tokens
from sightline.inspection.tokens import IMAGE, TRAINED, Segment, Token
from sightline.runs import plain_data
from sightline.shown import shown
from sightline.types import Table

if TYPE_CHECKING:
    from sightline.inspection.findings import Diagnosis, Finding  # which import the trainers
    from sightline.inspection.memory import MemoryEstimate

UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def print_environment(found: Environment) -> None:
    """The environment on stdout, its warnings and the line for a report of a bug last."""
    console = console_on(sys.stdout)
    facts = [
        ("system", f"{found.system}, Python {found.python}"),
        ("processor", f"{found.processor}, {found.cpus} CPUs"),
        ("memory", _memory(found)),
        *(
            (
                f"GPU {number}",
                f"{gpu.name}, {gpu.free_gib:.0f} of {gpu.memory_gib:.0f} GiB free, bf16 {'yes' if gpu.bf16 else 'no'}",
            )
            for number, gpu in enumerate(found.devices)
        ),
        *([("driver", found.driver)] if found.driver else []),
        *((f"disk, {name}", f"{free:.0f} GiB free") for name, free in found.disk_gib.items()),
        ("Hub", "offline by setting" if found.offline else "reachable" if found.hub else "not reachable"),
        *((f"for tests: {name}", path or "none") for name, path in found.tools.items()),
    ]
    print_pairs(facts)
    console.print()
    print_pairs([(package.name, _described(package)) for package in found.packages])
    console.print()
    for warning in found.warnings:
        console.print(Text.assemble(("! ", "bold yellow"), warning))
    console.print(Text("\nTo paste into an issue:", style="bold"))
    console.print(Text(found.line), soft_wrap=True)


def _memory(found: Environment) -> str:
    limited = f" (limited by {found.memory_limit})" if found.memory_limit else ""
    return f"{found.available_gib:.1f} of {found.memory_gib:.1f} GiB available{limited}"


def _described(package: Package) -> str:
    """Version of a package, why it does not load, and what it would be used for."""
    parts = [part for part in (package.version, package.problem) if part]
    return ", ".join(parts) + (f" (for {package.used_for})" if package.problem and package.used_for else "")


def print_diagnosis(seen: Diagnosis) -> None:
    """A diagnosis on stdout, what is wrong last."""
    console = console_on(sys.stdout)
    console.print(Text.assemble((f"{seen.method} of {seen.model} on {seen.data}", "bold")))
    print_pairs([*_row_facts(seen), *_run_facts(seen)])
    console.print()
    if seen.modules:
        print_table(_modules_table(seen))
    if seen.memory is not None:
        print_table(_memory_table(seen.memory, seen.trial.peak_bytes if seen.trial else None))
    for finding in seen.findings:
        _print_finding(console, finding)
    if not seen.findings:
        console.print(Text("Nothing wrong was found.", style="bold green"))


def _row_facts(seen: Diagnosis) -> list[tuple[str, str]]:
    rows = seen.rows
    limit = "no max_length" if seen.max_length is None else f"max_length {seen.max_length:,}, {seen.length_policy}"
    whole = max(rows.tokens, 1)
    kept = f"{rows.kept:,} of {rows.rows:,} train"
    lost = f"{rows.cut:,} cut, {rows.dropped:,} dropped, {rows.refused:,} refused"
    shares = f"{100 * rows.trained / whole:.1f}% trained, {100 * rows.placeholders / whole:.1f}% of images"
    return [
        ("rows", f"{kept}, {lost} ({limit})"),
        ("tokens", f"longest {rows.longest:,}, middle {rows.median:,}; {shares}"),
    ]


def _run_facts(seen: Diagnosis) -> list[tuple[str, str]]:
    facts = []
    if seen.route is not None:
        facts.append(("route", f"{seen.route.route}: {seen.route.reason}"))
    if seen.trial is not None:
        rows, batches = seen.batch_rows
        step = f"{rows} rows{f' x {batches} batches' if batches > 1 else ''}"
        facts.append(
            ("time", f"{seen.steps:,} steps of {seen.trial.step_seconds:.2f} s ({step}): {duration(seen.seconds)}")
        )
    facts += [
        (name, text)
        for name, text in (("features", seen.stores.features), ("references", seen.stores.references))
        if text
    ]
    return facts


def _modules_table(seen: Diagnosis) -> Table:
    rows = (
        (
            module.name,
            f"{module.parameters:,}",
            f"{module.trainable:,}",
            "" if module.gradient is None else f"{module.gradient:.2e}",
        )
        for module in seen.modules
    )
    return Table("", ("module", "parameters", "trainable", "gradient norm"), tuple(rows), is_summed=False)


def _memory_table(memory: MemoryEstimate, measured: int | None) -> Table:
    parts = (
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("optimizer states", memory.optimizer),
        ("activations", memory.activations),
        ("  with gradient checkpointing", memory.activations_with_checkpointing),
        ("  without", memory.activations_without_checkpointing),
        ("logits", memory.logits),
        ("features", memory.features),
        ("inputs", memory.inputs),
        ("peak (not all are there at once)", memory.peak),
    )
    caption = f"peak, measured: {size(measured) if measured is not None else 'unknown on this system'}"
    rows = tuple((name, size(value)) for name, value in parts)
    return Table("", ("memory of the longest batch", "estimate"), rows, caption)


def _print_finding(console: Console, finding: Finding) -> None:
    sign, style = ("\N{MULTIPLICATION X} ", "bold red") if finding.fails else ("! ", "bold yellow")
    console.print(Text.assemble((sign, style), finding.text))


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    for unit, factor in UNITS:
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def to_json(seen: Diagnosis) -> dict[str, Any]:
    """The diagnosis in the types of JSON."""
    return {**plain_data(seen), "seconds": seen.seconds, "failed": seen.failed}


FINDING_STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "cyan"}


def print_check(check: DataCheck, as_json: bool, folder: Path | None = None) -> None:
    """The tables and findings on stdout; or the record as JSON there, and the rest on stderr."""
    file = sys.stderr if as_json else sys.stdout
    _print_overview(check, file)
    if check.answers.frequent:
        print_table(answers_table(check), file)
    if check.leaks:
        print_table(leaks_table(check), file)
    _print_findings(check, file)
    if as_json:
        print(json.dumps(check_json(check), ensure_ascii=False, indent=2))
    if folder is not None:
        print(f"Record and page: {folder / PAGE}", file=sys.stderr)


def _print_overview(check: DataCheck, file: TextIO) -> None:
    console = console_on(file)
    console.print(Text(shown(check.source), style="bold"))
    print_pairs([(name, value) for name, value in overview_table(check).rows], file)
    console.print()


def _print_findings(check: DataCheck, file: TextIO) -> None:
    console = console_on(file)
    for finding in check.findings:
        what = f"  {finding.title}: {count_text(finding)}"
        cases = "\n".join(f"    {line}" for line in first_cases(finding).split("\n"))
        console.print(Text.assemble((finding.severity, FINDING_STYLES[finding.severity]), what), soft_wrap=True)
        console.print(Text(shown(cases), style="dim"), soft_wrap=True)
        console.print(Text(f"    {finding.advice}"), soft_wrap=True)
    rate = check.rows / check.seconds if check.seconds else 0
    style = "bold green" if check.is_clean else "bold red"
    speed = f" {check.seconds:.1f} s, {rate:,.0f} rows a second."
    console.print(Text.assemble("\n", (verdict(check), style), speed), soft_wrap=True)


TOKEN_STYLES = {
    "read": "default",
    TRAINED: "bold black on green3",
    IMAGE: "bold black on sky_blue1",
    "behind": "strike red",
}
LONGEST_SEGMENT = 100  # characters of a segment's text in the tree


def print_preview(preview: Preview) -> None:
    """The preview on stdout."""
    console = console_on(sys.stdout)
    legend = Text.assemble(
        ("trained", TOKEN_STYLES[TRAINED]),
        "  read  ",
        ("image", TOKEN_STYLES[IMAGE]),
        "  ",
        ("cut", TOKEN_STYLES["behind"]),
    )
    console.print(legend)
    for row in preview.rows:
        console.print()
        _print_row(console, row, preview)
    if preview.batch is not None:
        console.print()
        _print_forest(console, preview.batch)
    console.print(Text("\nHow the model is asked", style="bold"))
    for name, value in preview.asking.pairs:
        console.print(Text.assemble((f"  {name}: ", "dim"), shown(value)), soft_wrap=True)


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
        text.append(shown(words), style=TOKEN_STYLES["behind" if token.start >= cut else token.kind])
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
