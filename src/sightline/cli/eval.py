"""`sightline eval`: ask a model the questions of VQA rows and count the right answers, per kind, with intervals."""

from __future__ import annotations

from pathlib import Path

import typer


def eval_command(
    model: str = typer.Option(..., "--model", help="Model folder or Hub id, or a folder with an adapter."),
    data: str = typer.Option(..., "--data", help="Rows with question, answer(s), image: file, folder or Hub id."),
    split: str | None = typer.Option(None, "--split", help="Split of a dataset that has several."),
    adapter: str | None = typer.Option(None, "--adapter", help="PEFT adapter folder to put on top of the model."),
    limit: int | None = typer.Option(None, "--limit", help="Only the first so many rows."),
    batch_size: int = typer.Option(64, "--batch_size", help="Questions answered at once; no answer depends on it."),
    max_new_tokens: int = typer.Option(32, "--max_new_tokens", help="Longest answer, in tokens."),
    blind: bool = typer.Option(False, "--blind", help="Ask without the pictures."),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Run folder for results, samples and report."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the table on stderr."),
) -> None:
    """Evaluate a model on VQA rows: exact match after normalising, overall and per question kind.

    A row has question, answer or answers, image (paths count from the file's folder), and may have kind
    (or question_type, answer_type) and id. Intervals are 95%, clustered by picture.
    """
    from json import dumps
    from sys import stderr, stdout

    from sightline.evaluation.results import results_table, to_json
    from sightline.evaluation.run import EvalConfig, run_eval
    from sightline.evaluation.terminal import print_table, progress_bar

    config = EvalConfig(model, data, split, adapter, limit, batch_size, max_new_tokens, blind, output_dir)
    with progress_bar("Answering") as progress:
        result = run_eval(config, progress)
    print_table(results_table(result), stderr if json else stdout)
    if output_dir is not None:
        print(f"Results, samples and report: {output_dir}", file=stderr)
    if json:
        print(dumps(to_json(result), ensure_ascii=False, indent=2))
