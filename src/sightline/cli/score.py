"""`sightline score`: score the answers of a finished run again by another profile, without a model."""

from __future__ import annotations

from pathlib import Path

import typer


def score_command(
    run: Path = typer.Argument(help="The --output_dir of a run of sightline eval."),
    profile: str = typer.Option("", "--profile", help="Rules that read answers: strict, official; the task's default."),
    likelihood_norm: str | None = typer.Option(
        None, "--likelihood_norm", help="sum, token or byte; default: the run's."
    ),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Folder for the new results and samples."),
    export: str = typer.Option("", "--export", help="Also write results in the format of lmms-eval."),
    card: Path | None = typer.Option(None, "--card", help="Model folder: write the scores into its card."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """Score a run again: sightline score RUN --profile official."""
    from sightline.evaluation.exchange.choice import Exchange
    from sightline.evaluation.rescore import run_score
    from sightline.evaluation.terminal import print_run

    print_run(run_score(run, profile, likelihood_norm, output_dir, Exchange(export, card)), json)
