"""`sightline data`: check, preview, convert and write training data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Any

import typer

from sightline.cli.loading_options import loads_model
from sightline.cli.settings_help import one_of
from sightline.errors import ConfigError
from sightline.settings.loading import LoadingOptions

TARGETS = ("trl-sft", "trl-dpo", "trl-kto", "llava", "parquet")
KINDS = ("conversation", "description", "reasoning", "paraphrase", "preferences")


def check_command(
    source: str = typer.Argument(metavar="SOURCE", help="A file, a folder or a Hub id."),
    evals: list[str] = typer.Option([], "--eval", help="Evaluation data that must not be in it; may be repeated."),
    split: str | None = typer.Option(None, "--split", help="Split of SOURCE, where it has several."),
    eval_split: str | None = typer.Option(None, "--eval_split", help="Split of the evaluation data."),
    config: str | None = typer.Option(None, "--config", help="Configuration of a Hub dataset that has several."),
    image_folder: str | None = typer.Option(None, "--image_folder", help="Folder where relative picture paths start."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    eval_columns: str = typer.Option("", "--eval_columns", help="The same for the evaluation data."),
    allow_urls: bool = typer.Option(False, "--allow_urls", help="Download pictures that rows name by https."),
    limit: int | None = typer.Option(None, "--limit", help="Use only the first N rows of each."),
    max_pixels: int | None = typer.Option(
        None, "--max_pixels", help="Refuse larger pictures; default: the limit of training, 89,478,485."
    ),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Folder for check.json and report.html."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """What is in a dataset, and what is wrong with it, before it trains.

    Pictures that are missing, broken, too large or odd; rows that are empty, double or at odds; what of --eval is in
    SOURCE: the same pictures, resized or compressed copies, the same questions. Exit code 1 where errors were found.
    """
    from sightline.data.pictures.columns import PictureAccess
    from sightline.data.sources.column_names import read_columns
    from sightline.inspection.check import CheckConfig, run_check
    from sightline.inspection.terminal import print_check
    from sightline.progress import progress_bar

    pictures = PictureAccess(image_folder, allow_urls, keep_missing=True, columns=read_columns(columns))
    named = read_columns(eval_columns, "--eval_columns")
    settings = CheckConfig(
        source, tuple(evals), split, eval_split, config, pictures, limit, max_pixels, output_dir, named
    )
    with progress_bar("Checking rows") as progress:
        check = run_check(settings, progress)
    print_check(check, json, output_dir)
    if not check.is_clean:
        raise typer.Exit(1)


def preview_command(
    context: typer.Context,
    source: str | None = typer.Argument(None, help="Rows: a file, a folder or a Hub id; by default the recipe's."),
    model: str | None = typer.Option(None, "--model", help="Model folder or Hub id; by default the recipe's, or nano."),
    config: str | None = typer.Option(None, "--config", help="Recipe of sft or dpo: its data, model and settings."),
    rows: str | None = typer.Option(None, "--rows", help="Rows to show, counted from 0: 0,5,7."),
    limit: int = typer.Option(3, "--limit", min=1, help="Without --rows: show the first N rows."),
    batch_size: int | None = typer.Option(None, "--batch_size", min=1, help="Rows in the batch that is drawn."),
    method: str | None = typer.Option(None, "--for", help="sft or dpo, if settings and columns do not tell."),
    output_path: str | None = typer.Option(None, "--output_path", help="Write the preview as an HTML page, too."),
) -> None:
    """Show what a model will see: sightline data preview ROWS --model MODEL [--config RECIPE] [--key value ...]

    The rendered text, its tokens coloured by trained, read and image; each picture as the processor cuts it; where
    max_length falls and what length_policy does; a batch as a forest, with the tokens that sharing saves. Every key of
    sft and dpo works: --max_length 512 --assistant_only_loss true. Exit code 1 where a shown row cannot be used.
    """

    from sightline.config import RECIPES
    from sightline.settings.early import check_early

    if source is not None and source.endswith(RECIPES) and config is None:
        config, source = source, None
    argv = ["--config", config] if config is not None else []
    if source is not None and source.startswith("--"):  # a key, where no rows are named
        argv, source = [*argv, source], None
    argv += context.args
    numbers = read_numbers(rows)
    check_early(argv, *((method,) if method in ("sft", "dpo") else ("sft", "dpo")), writes=False)
    from sightline.inspection.preview import Asked, preview_data
    from sightline.inspection.preview_page import write_page
    from sightline.inspection.terminal import print_preview

    preview = preview_data(Asked(source, model, tuple(argv), method, numbers, limit, batch_size))
    print_preview(preview)
    if output_path is not None:
        print(write_page(preview, output_path), file=sys.stderr)
    if any(row.error for row in preview.rows):
        raise typer.Exit(1)


def read_numbers(given: str | None) -> tuple[int, ...] | None:
    """Row numbers separated by commas; None where nothing is given."""

    if given is None:
        return None
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError:
        raise ConfigError(f"rows: expected numbers separated by commas, such as 0,5,7; got '{given}'.") from None


def convert_command(
    source: str = typer.Argument(help="A file, a folder or a Hub id, of any format in docs/formats.md."),
    out: str = typer.Argument(help="The new file: .jsonl for trl-*, .json for llava, .parquet."),
    to: str = typer.Option(
        ..., "--to", help="trl-sft, trl-dpo, trl-kto, llava or parquet.", autocompletion=one_of(*TARGETS)
    ),
    images: str = typer.Option("copy", "--images", help="copy pictures beside the file, or reference them."),
    split: str | None = typer.Option(None, "--split", help="Split of a folder or Hub id; train by default."),
    config: str | None = typer.Option(None, "--config", help="Configuration of a Hub dataset that has several."),
    image_folder: str | None = typer.Option(None, "--image_folder", help="Folder where relative picture paths start."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    allow_urls: bool = typer.Option(False, "--allow_urls", help="Download pictures that rows name by https."),
    allow_outside: bool = typer.Option(
        False, "--allow_outside", help="Copy pictures from outside of the dataset's folder and --image_folder, too."
    ),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unusable rows."),
    json: bool = typer.Option(False, "--json", help="Print what was written as JSON on stdout."),
) -> None:
    """Write rows of any format as TRL's SFT, DPO or KTO rows, as LLaVA JSON, or as Parquet with pictures inside.

    The file appears whole or not at all. A row that the new format cannot express stops it, and is named. Only pictures
    that can be read are copied, from the dataset's folder or --image_folder.
    """

    from sightline.data.formats.conversion import ConversionSettings, run_convert
    from sightline.data.pictures.columns import PictureAccess
    from sightline.data.sources.bad_rows import listed
    from sightline.data.sources.column_names import read_columns
    from sightline.progress import tracked
    from sightline.runs import plain_data

    names = read_columns(columns)
    access = PictureAccess(image_folder, allow_urls, skip_bad_rows=skip_bad_rows, columns=names)
    settings = ConversionSettings(source, out, to, images, split, config, access, allow_outside)
    result = run_convert(settings, lambda items, total, title: tracked(items, title, total))
    print(result.summary, file=sys.stderr)
    if result.bad_rows:
        print(listed(list(result.bad_rows)), file=sys.stderr)
    print(dumps(plain_data(result)) if json else result.path)


@loads_model
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
    loading: LoadingOptions = LoadingOptions(),
) -> None:
    """Write training rows with the help of a model; the same command goes on with a run that was killed.

    Captions and boxes become conversations, descriptions or reasoning, questions paraphrases, own answers preferences.
    """

    from sightline.answering.requests import read_thinking
    from sightline.console import print_table
    from sightline.data.sources.column_names import read_columns
    from sightline.models.endpoint import read_extra_body, read_judge_body
    from sightline.progress import progress_bar
    from sightline.synthesis.run import run_synthesis
    from sightline.synthesis.settings import PairChoice, SynthesisConfig

    pairs = PairChoice(
        policy, samples, chosen_from, rejected_from, corruption, judge, judge_model,
        read_judge_body(judge_extra_body), judge_max_new_tokens,
    )  # fmt: skip
    config = SynthesisConfig(
        source, kind, output_path, endpoint, model, split, prompts, limit, concurrency, api_key_env, seed, temperature,
        max_new_tokens, show_image, pairs, system or None, read_thinking(enable_thinking), read_extra_body(extra_body),
        timeout_s, skip_bad_rows, read_columns(columns) or None, loading,
    )  # fmt: skip
    with progress_bar("Asking") as progress:
        result = run_synthesis(config, progress)
    print_table(result.table(), sys.stderr if json else sys.stdout)
    if json:
        _print_record(result.record)


def _print_record(record: Mapping[str, Any]) -> None:

    from sightline.runs import plain_data

    print(dumps(plain_data(record), ensure_ascii=False, indent=2))
