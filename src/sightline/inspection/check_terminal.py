"""A data check on a terminal: what is in the data, what was found, what to do about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from rich.text import Text

from sightline.console import console_on
from sightline.data.checking.check import DataCheck
from sightline.data.checking.findings import ERROR, NOTE, WARNING
from sightline.inspection.check import PAGE, check_json
from sightline.inspection.check_tables import (
    answers_table,
    count_text,
    first_cases,
    leaks_table,
    overview_table,
    verdict,
)
from sightline.shown import shown
from sightline.tables import print_pairs, print_table

STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "cyan"}


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
        console.print(Text.assemble((finding.severity, STYLES[finding.severity]), what), soft_wrap=True)
        console.print(Text(shown(cases), style="dim"), soft_wrap=True)
        console.print(Text(f"    {finding.advice}"), soft_wrap=True)
    rate = check.rows / check.seconds if check.seconds else 0
    style = "bold green" if check.is_clean else "bold red"
    speed = f" {check.seconds:.1f} s, {rate:,.0f} rows a second."
    console.print(Text.assemble("\n", (verdict(check), style), speed), soft_wrap=True)
