"""`sightline demo`: build, train, evaluate, align and compare a small VLM on generated scenes."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path

import typer


def demo_command(
    output_dir: Path = typer.Option(Path("demo"), "--output_dir", help="Folder to write; it must be new or empty."),
    seed: int = typer.Option(42, "--seed", help="Random seed of scenes, weights and order of rows."),
    quick: bool = typer.Option(False, "--quick", help="Try all steps in under a minute; the model learns nothing."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """Build a small VLM, train it, evaluate it, align it, evaluate it again and compare: offline, on a CPU."""

    from sightline.console import print_table
    from sightline.demo.run import run_demo
    from sightline.demo.settings import DemoConfig

    outcome = run_demo(DemoConfig(output_dir, seed, quick))
    file = sys.stderr if json else sys.stdout
    for table in (outcome.questions_table(), outcome.errors_table(), outcome.accuracy_table()):
        print_table(table, file)
    if outcome.note:
        print(outcome.note, file=sys.stderr)
    print(f"Report: {output_dir / 'report.html'}  ({outcome.seconds:.0f} s)\n\nTry next:", file=file)
    for line, purpose in outcome.next_commands().lines:
        print(f"\n# {purpose}\n{line}", file=file)
    if json:
        print(dumps(outcome.to_json(), indent=2))
