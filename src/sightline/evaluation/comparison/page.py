"""Write a comparison to a folder: comparison.json, and a page of changes with intervals and the items that flipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sightline.errors import ConfigError
from sightline.evaluation.comparison import tables
from sightline.evaluation.comparison.changes import Change, SamplePair, TaskChange
from sightline.evaluation.comparison.run import RunComparison, to_json
from sightline.evaluation.outcome import shown
from sightline.evaluation.shown_samples import FoundPictures, find_pictures, shown_answer, shown_sample
from sightline.evaluation.stored_run import read_summary
from sightline.pages import report
from sightline.pages.browser import MAX_PICTURES, ShownSample, browser
from sightline.runs import RunFolder
from sightline.types import Interval, Picture

COMPARISON = "comparison.json"


def write_comparison(comparison: RunComparison, folder: Path, max_pictures: int) -> None:
    """Write both files; pictures come from the data that the runs name.

    Raises:
        RunFolderError: the folder holds another run.
    """
    if max_pictures < 0:
        raise ConfigError(f"--report_pictures: expected 0 or more, got {max_pictures}.")
    run = RunFolder(folder, resume_by="")
    run.begin({"run_a": comparison.before, "run_b": comparison.after})
    found = _pictures(comparison) if max_pictures else FoundPictures({})
    if found.note:
        print(found.note, file=sys.stderr)
    run.write_json(COMPARISON, to_json(comparison))
    run.write_text(
        report.REPORT, report.render_report(comparison_report(comparison, found.pictures, max_pictures, found.note))
    )


def _pictures(comparison: RunComparison) -> FoundPictures:
    """Those of run B's data."""
    tasks = read_summary(comparison.after)["tasks"]
    wanted = {
        name: {key for pair in change.samples.pairs for key in pair.after.pictures}
        for name, change in comparison.tasks.items()
    }
    return find_pictures({name: tasks[name]["data"] for name in wanted}, wanted)


FILTERS = {
    "improved": "Better in B",
    "worsened": "Worse in B",
    "other": "Same score, other answer",
    "same": "Same answer",
}
_REACHES = (0.05, 0.1, 0.2, 0.4, 0.6, 1.0)


def comparison_report(
    comparison: RunComparison, pictures: Mapping[str, Picture], max_pictures: int = MAX_PICTURES, note: str = ""
) -> report.Report:
    """The report of a comparison; arguments as `eval_report`."""
    changes = list(comparison.tasks.values())
    before, after = comparison.labels
    check = comparison.reproduction
    samples = [shown_pair(pair) for change in changes for pair in change.samples.pairs]
    found = browser(samples, FILTERS, pictures, max_pictures)
    return report.Report(
        title=f"{after} against {before}",
        subtitle=f"A is {before}, B is {after}; {check.answers:,} answers to the same questions, paired by item.",
        headlines=_headlines(changes[0]) if len(changes) == 1 else (),
        sections=(
            report.Section("Change", tuple(_change_blocks(comparison)), _CHANGE),
            *_category_sections(changes),
            report.Section(
                "Reproduction check", (report.Listing("", tables.CHECK_HEADER, tables.check_rows(check)),), _CHECK
            ),
            report.Section("Items", (report.Notice(note), found) if note else (found,), _ITEMS),
        ),
        facts=(("A", str(comparison.before)), ("B", str(comparison.after))),
    )


_CHANGE = "Score in B minus score in A on the items that both runs hold; full marks are 100 points."
_CHECK = "What the runs have in common besides their questions, and what not."
_ITEMS = "Each item with both answers. Keys: / searches, ← and → turn the pages."


def _headlines(change: TaskChange) -> tuple[report.Headline, ...]:
    overall, low, high = change.overall, change.overall.difference.low, change.overall.difference.high
    tone = "good" if low > 0 else "bad" if high < 0 else ""
    value, metric = tables.change_text(overall.difference.value, change.scale), change.metric.replace("_", " ")
    interval = tables.interval_text(overall, change.scale)
    sides = f"{shown(overall.before, change.scale)} in A, {shown(overall.after, change.scale)} in B"
    test = f"McNemar's exact test: {tables.p_sign(change.mcnemar)}" if change.mcnemar is not None else ""
    found = [
        report.Headline(
            value, f"{'points of ' * (change.scale == 1)}{metric}", interval and f"95% interval {interval}", tone
        ),
        report.Headline(tables.p_text(change.p_value), "p-value of no difference", sides),
        report.Headline(f"{overall.improved:,} : {overall.worsened:,}", "items better : worse in B", test),
    ]
    if change.items_needed is not None:
        label = f"items to see {tables.points_text(change.detect)}"
        detail = f"in 8 of 10 runs; these are {overall.difference.n:,}"
        found.append(report.Headline(f"{change.items_needed:,}", label, detail))
    return tuple(found)


def _change_blocks(comparison: RunComparison) -> Iterator[report.Block]:
    check = comparison.reproduction
    yield report.Notice(check.conclusion, "bad" if check.is_warning else "")
    if len(comparison.tasks) > 1:
        yield _chart("", {name: (change.overall, change.scale) for name, change in comparison.tasks.items()})
    yield tables.change_table(comparison)
    yield tables.evidence_table(comparison)


def _category_sections(changes: list[TaskChange]) -> tuple[report.Section, ...]:
    blocks: list[report.Block] = []
    for change in changes:
        if len(change.categories) > 1:
            scale = change.category_scale
            rows = {f"{name} ({each.difference.n:,})": (each, scale) for name, each in change.categories.items()}
            blocks.append(_chart(change.title if len(changes) > 1 else "", rows))
            blocks.append(report.Folded("As numbers", tables.category_changes(change)))
    return (report.Section("By category", tuple(blocks)),) if blocks else ()


def _chart(title: str, changes: Mapping[str, tuple[Change, float]]) -> report.IntervalChart:
    """Differences around 0, in points of full marks, on the smallest axis that holds them."""
    rows = tuple(report.IntervalRow(name, (_share(change, scale),)) for name, (change, scale) in changes.items())
    ends = [abs(end) for row in rows for one in row.intervals if one for end in (one.low, one.high, one.value)]
    reach = next(reach for reach in _REACHES if all(not end > reach for end in ends) or reach == _REACHES[-1])
    return report.IntervalChart(
        title, ("B minus A",), rows, "Dots are differences in points, bars 95% intervals.", reach
    )


def _share(change: Change, scale: float) -> Interval:
    found = change.difference
    return Interval(found.value / scale, found.low / scale, found.high / scale, found.n, found.clusters)


def shown_pair(pair: SamplePair) -> ShownSample:
    """Both answers to an item, under the tag of what became of them."""
    return shown_sample(pair.after, _tag(pair), (shown_answer(pair.before, "A"), shown_answer(pair.after, "B")))


def _tag(pair: SamplePair) -> str:
    if pair.change:
        return "improved" if pair.change > 0 else "worsened"
    alike = (pair.before.prediction, pair.before.error) == (pair.after.prediction, pair.after.error)
    return "same" if alike else "other"
