"""`sightline eval` and `sightline score`: evaluate a model, and score its answers again by other rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sightline.cli.loading_options import loads_model
from sightline.cli.settings_help import complete_tasks
from sightline.settings.loading import LoadingOptions

if TYPE_CHECKING:
    from sightline.evaluation.eval_config import EvalConfig


@loads_model
def eval_command(
    model: str = typer.Argument("", help="Model folder, adapter's folder or Hub id, or a name at --endpoint; --model."),
    data: str | None = typer.Argument(None, help="Your rows (question, answers, image, ...), or a task's own; --data."),
    tasks: str = typer.Option("", "--tasks", help="Benchmarks, with commas: pope,mme.", autocompletion=complete_tasks),
    split: str | None = typer.Option(None, "--split", help="Split of a dataset that has several."),
    limit: int | None = typer.Option(None, "--limit", help="Use only the first N items."),
    benchmarks: Path | None = typer.Option(None, "--benchmarks", help="Folder of benchmark files."),
    image_folder: Path | None = typer.Option(None, "--image_folder", help="Folder where relative picture paths start."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unusable rows."),
    prompt: str = typer.Option("", "--prompt", help="Prompt to use: lmms-eval, ...; the task's default."),
    profile: str = typer.Option("", "--profile", help="Rules that read answers: strict, official, ..."),
    method: str = typer.Option("generate", "--method", help="generate a text, or choose by likelihood."),
    likelihood_of: str = typer.Option("letter", "--likelihood_of", help="Score an option's letter, or its text."),
    likelihood_norm: str = typer.Option("sum", "--likelihood_norm", help="Compare sums, or means per token or byte."),
    max_new_tokens: int | None = typer.Option(None, "--max_new_tokens", help="Longest answer; default: the task's."),
    blind: bool = typer.Option(False, "--blind", help="Ask everything again without pictures, as a baseline."),
    adapter: str | None = typer.Option(None, "--adapter", help="PEFT adapter folder to put on top of the model."),
    batch_tokens: int | None = typer.Option(None, "--batch_tokens", help="Tokens at once; answers stay the same."),
    endpoint: str | None = typer.Option(None, "--endpoint", help="OpenAI-compatible server: http://127.0.0.1:8000/v1."),
    concurrency: int = typer.Option(8, "--concurrency", help="Requests that a server gets at the same time."),
    api_key_env: str = typer.Option("OPENAI_API_KEY", "--api_key_env", help="Variable with the server's key."),
    predictions: Path | None = typer.Option(None, "--predictions", help="Score answers in a file: JSONL, XLSX, ..."),
    prediction_column: str = typer.Option("", "--prediction_column", help="Its column with the answers."),
    judge: str | None = typer.Option(None, "--judge", help="Server with a model that judges unclear answers."),
    judge_model: str = typer.Option("", "--judge_model", help="Name of the judge model at that server."),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Run folder: journal, results, samples, report."),
    report_pictures: int = typer.Option(300, "--report_pictures", help="Number of pictures in the report."),
    resume: bool = typer.Option(False, "--resume", help="Continue the run in --output_dir."),
    export: str = typer.Option("", "--export", help="Also write results in the format of lmms-eval."),
    card: Path | None = typer.Option(None, "--card", help="Model folder: write the scores into its card."),
    system: str = typer.Option("", "--system", help="System message before every question."),
    enable_thinking: str = typer.Option("", "--enable_thinking", help="true or false: may the model think first?"),
    extra_body: str = typer.Option("", "--extra_body", help="More request fields, JSON or YAML: {top_k: 20}."),
    timeout_s: float = typer.Option(300.0, "--timeout_s", help="Seconds to wait for one reply."),
    judge_extra_body: str = typer.Option("", "--judge_extra_body", help="More fields of requests to the judge."),
    judge_max_new_tokens: int = typer.Option(16, "--judge_max_new_tokens", help="Longest verdict, thinking included."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
    loading: LoadingOptions = LoadingOptions(),
) -> None:
    """Evaluate a model: sightline eval MODEL --tasks pope, or on your own rows: sightline eval MODEL rows.jsonl.

    Each picture is read once. A killed run loses no answer. Intervals are 95%, by picture. `accelerate launch` works.
    """
    from sightline.answering.requests import read_thinking
    from sightline.data.sources.column_names import read_columns
    from sightline.evaluation.eval_config import CUSTOM, EvalConfig
    from sightline.evaluation.exchange.choice import Exchange
    from sightline.evaluation.requests import Asking
    from sightline.evaluation.sources import DataChoice
    from sightline.models.endpoint import read_extra_body, read_judge_body

    names = tuple(filter(None, map(str.strip, tasks.split(",")))) or (CUSTOM,)
    choice = DataChoice(data, split, None, benchmarks, limit, skip_bad_rows, image_folder, read_columns(columns))
    asked = (prompt, max_new_tokens, method, likelihood_of, likelihood_norm, system, read_thinking(enable_thinking))
    _answer(EvalConfig(
        model, names, choice, Asking(*asked), profile, adapter, batch_tokens, blind, endpoint, concurrency, api_key_env,
        predictions, prediction_column, judge, judge_model, output_dir, report_pictures, resume, Exchange(export, card),
        read_extra_body(extra_body), timeout_s, read_judge_body(judge_extra_body), judge_max_new_tokens, loading,
    ), json)  # fmt: skip


def _answer(config: EvalConfig, json: bool) -> None:
    from sightline.evaluation.run import run_eval
    from sightline.evaluation.terminal import print_run
    from sightline.progress import progress_bar

    with progress_bar("Answering") as progress:
        result = run_eval(config, progress)
    if result is not None:
        print_run(result, json, config.output_dir)


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
