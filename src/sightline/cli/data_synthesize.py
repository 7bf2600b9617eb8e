"""`sightline data synthesize`: write conversations, descriptions, reasoning or preferences with a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from sightline.cli.completion import one_of

KINDS = ("conversation", "description", "reasoning", "paraphrase", "preferences")


def synthesize_command(
    source: str = typer.Argument(help="File, folder or Hub id: pictures with captions (and boxes), or questions."),
    kind: str = typer.Option(..., "--kind", help=f"{', '.join(KINDS)}.", autocompletion=one_of(*KINDS)),
    output_path: Path = typer.Option(..., "--output_path", help="JSONL file to write, with a .run folder beside it."),
    endpoint: str = typer.Option("", "--endpoint", help="OpenAI-compatible server: http://127.0.0.1:8000/v1."),
    model: str = typer.Option("", "--model", help="Name of the model at that server."),
    split: str | None = typer.Option(None, "--split", help="Split of a dataset that has several."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    prompts: Path | None = typer.Option(None, "--prompts", help="Folder with a KIND.yaml to use as prompt."),
    limit: int | None = typer.Option(None, "--limit", help="Use only the first N pictures or questions."),
    concurrency: int = typer.Option(8, "--concurrency", help="Requests that a server gets at the same time."),
    api_key_env: str = typer.Option("OPENAI_API_KEY", "--api_key_env", help="Variable with the server's key."),
    seed: int = typer.Option(42, "--seed", help="Random seed."),
    temperature: float = typer.Option(0.7, "--temperature", help="Temperature of sampling; 0 takes the likeliest."),
    max_new_tokens: int | None = typer.Option(None, "--max_new_tokens", help="Longest reply; default: the kind's."),
    show_image: bool = typer.Option(False, "--show_image", help="Send the picture, too, for a model that sees."),
    policy: str = typer.Option("", "--policy", help="Preferences: model folder that answers here."),
    samples: int = typer.Option(4, "--samples", help="Preferences: answers to each question."),
    chosen_from: str = typer.Option("samples", "--chosen_from", help="Preferences: samples (the best) or gold."),
    rejected_from: str = typer.Option("samples", "--rejected_from", help="Preferences: samples (worst) or corruption."),
    corruption: str = typer.Option("noise", "--corruption", help="Preferences: noise, blur or blank."),
    judge: str = typer.Option("", "--judge", help="Preferences: server whose model scores answers."),
    judge_model: str = typer.Option("", "--judge_model", help="Name of the judge model at that server."),
    judge_extra_body: str = typer.Option("", "--judge_extra_body", help="More fields of requests to the judge."),
    judge_max_new_tokens: int | None = typer.Option(None, "--judge_max_new_tokens", help="The judge's longest reply."),
    system: str = typer.Option("", "--system", help="Preferences: system message before every question."),
    enable_thinking: str = typer.Option("", "--enable_thinking", help="true or false: may the model think first?"),
    extra_body: str = typer.Option("", "--extra_body", help="More request fields, JSON or YAML: {top_k: 20}."),
    timeout_s: float = typer.Option(300.0, "--timeout_s", help="Seconds to wait for one reply."),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unusable rows."),
    json: bool = typer.Option(False, "--json", help="Print the run's record as JSON on stdout."),
) -> None:
    """Write training rows with the help of a model; the same command goes on with a run that was killed.

    Captions and boxes become conversations, descriptions or reasoning, questions paraphrases, own answers preferences.
    """
    from sys import stderr, stdout

    from sightline.answering.requests import read_thinking
    from sightline.data.sources.column_names import read_columns
    from sightline.models.endpoint import read_extra_body, read_judge_body
    from sightline.progress import progress_bar
    from sightline.synthesis.run import run_synthesis
    from sightline.synthesis.settings import PairChoice, SynthesisConfig
    from sightline.tables import print_table

    pairs = PairChoice(
        policy, samples, chosen_from, rejected_from, corruption, judge, judge_model,
        read_judge_body(judge_extra_body), judge_max_new_tokens,
    )  # fmt: skip
    config = SynthesisConfig(
        source, kind, output_path, endpoint, model, split, prompts, limit, concurrency, api_key_env, seed, temperature,
        max_new_tokens, show_image, pairs, system or None, read_thinking(enable_thinking), read_extra_body(extra_body),
        timeout_s, skip_bad_rows, read_columns(columns) or None,
    )  # fmt: skip
    with progress_bar("Asking") as progress:
        result = run_synthesis(config, progress)
    print_table(result.table(), stderr if json else stdout)
    if json:
        _print_record(result.record)


def _print_record(record: Mapping[str, Any]) -> None:
    from json import dumps

    from sightline.runs import plain_data

    print(dumps(plain_data(record), ensure_ascii=False, indent=2))
