"""docs/tasks.md, written from the tasks' records; run as a module it rewrites the file."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline.evaluation.tasks.registry import TASKS, load_task, render_task

TARGET = Path(__file__).resolve().parents[1] / "docs" / "tasks.md"

HEADER = """# Benchmarks

Written by `make docs` from the records in `src/sightline/evaluation/tasks`; `sightline tasks show NAME` prints a part.

**Where rows come from.** No benchmark data come with Sightline. A task takes the first of these that it finds:

1. what you name: `--data FILE`, a folder, or a Hub id (`OWNER/NAME` or `OWNER/NAME@REVISION`);
2. a folder of benchmarks: `--benchmarks FOLDER`, or the folders in `SIGHTLINE_BENCHMARKS` and VLMEvalKit's `LMUData`,
   which hold VLMEvalKit's TSV files, `OWNER/NAME` folders of Hub datasets, or the files named below;
3. the Hub. The revision that was loaded is recorded with the result; where a revision is named below, it is that one.

A TSV file is read in one pass that keeps no picture, whatever its size, and every cell is text: options called "None"
or "NA" are options. Rows that cannot be used (a broken picture, an index used twice, an answer that is no option, a
wrong number of cells) are named; `--skip_bad_rows` leaves them out and counts them in the result.

**Prompts** go by the name of their origin: a harness as it asks by default (`lmms-eval`, `vlmevalkit`), the benchmark's
authors (`official`), a model's authors (`model-card:NAME`), or `sightline` where nobody published one. A picture stands
at the first `<image 1>` of a prompt; pictures without a mark come before the text. Examples below are on made items.

**Profiles** name whose reading of answers is followed. `strict` is ours: it never guesses, and an answer that says
nothing readable is *unparsed*.
"""


def render_reference() -> str:
    """The whole document."""
    return "\n".join([HEADER, *(render_task(load_task(name)) + "\n" for name in TASKS)])


if __name__ == "__main__":
    TARGET.write_text(render_reference(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
