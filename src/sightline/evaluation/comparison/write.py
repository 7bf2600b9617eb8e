"""Write a comparison to a folder: comparison.json, and a page with pictures of the items."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline.errors import ConfigError
from sightline.evaluation.comparison.page import comparison_report
from sightline.evaluation.comparison.run import RunComparison, to_json
from sightline.evaluation.run_pictures import FoundPictures, find_pictures
from sightline.evaluation.stored_run import read_summary
from sightline.pages.report import REPORT, render_report
from sightline.runs import RunFolder

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
    run.write_text(REPORT, render_report(comparison_report(comparison, found.pictures, max_pictures, found.note)))


def _pictures(comparison: RunComparison) -> FoundPictures:
    """Those of run B's data."""
    tasks = read_summary(comparison.after)["tasks"]
    wanted = {
        name: {key for pair in change.samples.pairs for key in pair.after.pictures}
        for name, change in comparison.tasks.items()
    }
    return find_pictures({name: tasks[name]["data"] for name in wanted}, wanted)
