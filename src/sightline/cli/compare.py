"""`sightline compare`: compare two evaluations item by item, or several training runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from json import dumps
from pathlib import Path

import typer

from sightline.errors import ConfigError

DETECT, PICTURES = 0.01, 300


def compare_command(
    run_a: Path = typer.Argument(metavar="RUN_A", help="The --output_dir of a run of eval, or of sft, dpo or vilt."),
    run_b: Path = typer.Argument(metavar="RUN_B", help="The run to compare with it, of the same kind."),
    others: list[Path] | None = typer.Argument(None, metavar="[RUN_C ...]", help="More training runs."),
    detect: float = typer.Option(DETECT, "--detect", help="Difference to plan for; 0.01 is one point."),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Folder for comparison.json and report.html."),
    report_pictures: int = typer.Option(PICTURES, "--report_pictures", help="Number of pictures in the report."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """Compare RUN_A with RUN_B item by item: what changed, and can it be chance?

    Differences are paired by item and clustered by picture; p-values are corrected for the number of tasks. The check
    at the end says what else differs between the runs: data, prompt, scoring, decoding, processor, model, versions.

    Of training runs, two or more: their last figures and the settings that differ, and with --output_dir a page with
    their curves over one another.
    """

    from sightline.logbook.comparison import are_training_runs

    runs = [run_a, run_b, *(others or ())]
    if are_training_runs(runs):
        if (detect, report_pictures) != (DETECT, PICTURES):
            raise ConfigError("compare: --detect and --report_pictures are of evaluations; these are training runs.")
        _compare_training(runs, output_dir, json)
        return
    if others:
        raise ConfigError(f"compare: expected two evaluations, got {len(runs)} folders. Compare them two by two.")
    from sightline.evaluation.comparison.run import run_compare
    from sightline.evaluation.terminal import print_comparison

    comparison = run_compare(run_a, run_b, detect)
    print_comparison(comparison, json)
    if output_dir is not None:
        from sightline.evaluation.comparison.page import write_comparison

        write_comparison(comparison, output_dir, report_pictures)
        print(f"Comparison and report: {output_dir}", file=sys.stderr)


def _compare_training(folders: Sequence[Path], output_dir: Path | None, json: bool) -> None:

    from sightline.console import print_table
    from sightline.logbook.comparison import figures_table, read_runs, settings_table, to_json, write_runs

    runs = read_runs(folders)
    file = sys.stderr if json else sys.stdout
    for table in (figures_table(runs), settings_table(runs)):
        print_table(table, file)
    if json:
        print(dumps(to_json(runs), ensure_ascii=False, indent=2))
    if output_dir is not None:
        write_runs(runs, output_dir)
        print(f"Comparison and report: {output_dir}", file=sys.stderr)
