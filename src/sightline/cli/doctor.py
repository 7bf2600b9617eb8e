"""`sightline doctor`: check the installation, or a training recipe before you spend GPU time on it."""

from __future__ import annotations

from json import dumps

import typer


def doctor_command(
    context: typer.Context,
    config: str | None = typer.Option(None, "--config", help="Recipe of sft or dpo to examine."),
    method: str | None = typer.Option(None, "--for", help="sft or dpo, if settings and columns do not tell."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout."),
) -> None:
    """Examine the environment, or with --config RECIPE [--key value ...] a run before it costs anything.

    The environment: versions, devices, what cannot be imported and why, disk, a line to paste into an issue. A run:
    rows kept, cut and dropped by max_length, trained tokens, whether gradients reach what trains (a few real steps on
    the longest and a typical batch; nothing is saved), memory by parts and as measured, time, stores, the route and
    why. Exit code 1: the run would fail or be wasted.
    """
    if config is None and not context.args:
        _print_environment(json)
        return

    from sightline.settings.early import check_early

    argv = [*(["--config", config] if config is not None else []), *context.args]
    check_early(argv, *((method,) if method in ("sft", "dpo") else ("sft", "dpo")), writes=False)
    from sightline.inspection.doctor import diagnose_recipe
    from sightline.inspection.terminal import print_diagnosis, to_json
    from sightline.training.rows import progress

    seen = diagnose_recipe(argv, method, progress)
    if json:
        print(dumps(to_json(seen), indent=2, ensure_ascii=False))
    else:
        print_diagnosis(seen)
    if seen.failed:
        raise typer.Exit(1)


def _print_environment(as_json: bool) -> None:

    from sightline.inspection.environment import read_environment
    from sightline.inspection.terminal import print_environment
    from sightline.runs import plain_data

    found = read_environment()
    if as_json:
        print(dumps({**plain_data(found), "line": found.line}, indent=2, ensure_ascii=False))
    else:
        print_environment(found)
