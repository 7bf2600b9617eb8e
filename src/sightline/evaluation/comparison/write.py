"""Write a comparison to a folder: comparison.json, and a page with pictures of the items."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline.errors import ConfigError, InputError
from sightline.evaluation.comparison.page import comparison_report
from sightline.evaluation.comparison.run import RunComparison, to_json
from sightline.evaluation.outcome import read_summary
from sightline.evaluation.pictures import find_pictures
from sightline.evaluation.report import REPORT, render_report
from sightline.runs import RunFolder
from sightline.types import Picture

COMPARISON = "comparison.json"


def write_comparison(comparison: RunComparison, folder: Path, max_pictures: int) -> None:
    """Write both files; pictures come from the data that the runs name.

    Raises:
        RunFolderError: the folder holds another run.
    """
    if max_pictures < 0:
        raise ConfigError(f"--report_pictures: expected 0 or more, got {max_pictures}.")
    run = RunFolder(folder)
    run.begin({"run_a": comparison.before, "run_b": comparison.after})
    pictures, note = _pictures(comparison) if max_pictures else ({}, "")
    run.write_json(COMPARISON, to_json(comparison))
    run.write_text(REPORT, render_report(comparison_report(comparison, pictures, max_pictures, note)))


def _pictures(comparison: RunComparison) -> tuple[dict[str, Picture], str]:
    """Pictures of all tasks by content key, and why some are missing."""
    tasks = read_summary(comparison.after)["tasks"]
    found: dict[str, Picture] = {}
    notes = []
    for name, change in comparison.tasks.items():
        wanted = {key for pair in change.samples.pairs for key in pair.after.pictures}
        try:
            found |= find_pictures(name, tasks[name]["data"], wanted)
        except InputError as error:
            reason = str(error).split("\n")[0]
            notes.append(f"{name}: no pictures are shown, as its rows cannot be read any more. {reason}")
            print(notes[-1], file=sys.stderr)
    return found, " ".join(notes)
