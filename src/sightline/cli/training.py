"""`sightline sft` and `sightline dpo`: train a VLM on demonstrations, or on preference pairs."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def sft_command(context: typer.Context) -> None:
    """Fine-tune a VLM on demonstrations: sightline sft MODEL ROWS --output_dir runs/one

    Or with a recipe: sightline sft mine.yaml --key value. Every flag and YAML key of `trl sft` works.

    ROWS is a file, a folder or a Hub id of any format in docs/formats.md; in a recipe, `datasets` mixes several.

    To evaluate, set eval_strategy. The rows are those of eval_dataset_name, or the share test_split_size of the
    training rows, or the split dataset_test_split.
    """
    _train(context.args, "sft")


def dpo_command(context: typer.Context) -> None:
    """Align a VLM with preference pairs: sightline dpo MODEL ROWS --output_dir runs/one

    Or with a recipe: sightline dpo mine.yaml --key value. Every flag and YAML key of `trl dpo` works.

    ROWS is a file, a folder or a Hub id of any format in docs/formats.md; in a recipe, `datasets` mixes several.
    `rejected` may hold several answers. loss_type may also be `mpo` or `mdpo`.

    To evaluate, set eval_strategy. The rows are those of eval_dataset_name, or the share test_split_size of the
    training rows, or the split dataset_test_split.
    """
    _train(context.args, "dpo")


def _train(argv: Sequence[str], verb: str) -> None:
    """Trains as `sightline sft` or `dpo` with these arguments."""
    from sightline.settings.early import check_early, require_named

    given = check_early(argv, verb)
    if given is not None:
        require_named(given)
    from sightline.evaluation.in_training import task_scores
    from sightline.evaluation.sources import DataChoice
    from sightline.launch.processes import is_first, say
    from sightline.training.arguments import read_names, read_settings
    from sightline.training.recipe import CONFIGS
    from sightline.training.run import run_dpo, run_sft

    settings = read_settings(argv, CONFIGS[verb])
    own_rows = DataChoice(image_folder=settings.script.image_folder, columns=read_names(settings.script.columns))
    score = task_scores(settings.script.eval_tasks, settings.script.eval_tasks_limit, own_rows)
    result = (run_dpo if verb == "dpo" else run_sft)(settings, score)
    say(result.summary)
    if is_first():
        print(result.folder)
