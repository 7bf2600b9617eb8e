"""Tables of evaluations on a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.text import Text

from sightline.console import console_on, print_table
from sightline.evaluation.comparison.run import RunComparison, to_json as comparison_json
from sightline.evaluation.comparison.tables import (
    category_changes,
    change_table,
    check_table,
    evidence_table,
    flip_table,
)
from sightline.evaluation.outcome import RunResult, category_table, outcome_table, to_json
from sightline.runs import plain_data


def print_run(result: RunResult, as_json: bool, folder: str | Path | None = None) -> None:
    """A run's tables on stdout; or its JSON there, and the tables on stderr, where its `folder` is named, too."""
    file = sys.stderr if as_json else sys.stdout
    print_table(outcome_table(result), file)
    for outcome in result.tasks.values():
        if len(outcome.scores.categories) > 1:
            print_table(category_table(outcome), file)
    for name, outcome in result.tasks.items():
        for note in outcome.data["notes"]:
            print(f"{name}: {note}", file=sys.stderr)
        if outcome.doubts:
            print(f"{name}: not verified as the whole benchmark: {'; '.join(outcome.doubts)}.", file=sys.stderr)
    if as_json:
        print(json.dumps(plain_data(to_json(result)), ensure_ascii=False, indent=2))
    if folder is not None:
        print(f"Results, samples and report: {folder}", file=sys.stderr)


def print_comparison(comparison: RunComparison, as_json: bool) -> None:
    """A comparison's tables on stdout; or its JSON there, and the tables on stderr."""
    file = sys.stderr if as_json else sys.stdout
    print_table(change_table(comparison), file)
    print_table(evidence_table(comparison), file)
    for change in comparison.tasks.values():
        if len(change.categories) > 1:
            print_table(category_changes(change), file)
        if change.samples.improved or change.samples.worsened:
            print_table(flip_table(change), file)
    print_table(check_table(comparison.reproduction), file)
    sign = "Warning: " if comparison.reproduction.is_warning else ""
    console_on(file).print(Text(f"{sign}{comparison.reproduction.conclusion}", style="bold"))
    if as_json:
        print(json.dumps(plain_data(comparison_json(comparison)), ensure_ascii=False, indent=2))
