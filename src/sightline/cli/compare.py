"""`sightline compare`: two runs on the same items, with intervals, tests, flipped items and a reproduction check."""

from __future__ import annotations

from pathlib import Path

import typer


def compare_command(
    run_a: Path = typer.Argument(metavar="RUN_A", help="The --output_dir of a run of sightline eval."),
    run_b: Path = typer.Argument(metavar="RUN_B", help="The run to set against it."),
    detect: float = typer.Option(0.01, "--detect", help="Say how many items show this difference (0.01: one point)."),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Folder for comparison.json and report.html."),
    report_pictures: int = typer.Option(300, "--report_pictures", help="How many pictures the report carries."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """What changed from RUN_A to RUN_B, item by item, and whether more than chance did it.

    Differences are paired by item and clustered by picture; p-values are corrected for the number of tasks. The check
    at the end says what else differs between the runs: data, prompt, scoring, decoding, processor, model, versions.
    """
    from sys import stderr

    from sightline.evaluation.comparison.run import run_compare
    from sightline.evaluation.terminal import print_comparison

    comparison = run_compare(run_a, run_b, detect)
    print_comparison(comparison, json)
    if output_dir is not None:
        from sightline.evaluation.comparison.page import write_comparison

        write_comparison(comparison, output_dir, report_pictures)
        print(f"Comparison and report: {output_dir}", file=stderr)
