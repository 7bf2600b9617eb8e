"""`sightline dpo`: align a VLM with preference pairs."""

from __future__ import annotations

import typer


def dpo_command(context: typer.Context) -> None:
    """Align a VLM with preference pairs: --config RECIPE --key value ...

    Every flag and YAML key of `trl dpo` works. Besides them: `share` (auto, mask, fork or plain), `feature_store`,
    `reference_store`, `length_policy`, `augmentation` (none, light, randaugment or document), `image_margin_rows`, the
    losses `mpo` and `mdpo`, and `mdpo_perturbation`, `mdpo_crop`, `mdpo_delta`. dataset_name may be a file, a folder or
    a Hub id of any format in docs/formats.md, where `rejected` may hold several answers; `datasets` mixes several,
    `columns` (question=q,answer=a) names columns, `image_folder` and `allow_urls` say where pictures are. Each
    evaluation reads the rows of `eval_dataset_name`, the share `test_split_size` of the training rows, or
    `dataset_test_split`; `eval_tasks` (pope,custom:rows.jsonl) answers benchmarks besides, of each the first
    `eval_tasks_limit` items.
    """
    from sightline.settings.early import check_early
    from sightline.settings.required import require_named

    given = check_early(context.args, "dpo")
    if given is not None:
        require_named(given)
    import sightline.training  # noqa: F401  declares torchvision's operators before the evaluation imports transformers
    from sightline.evaluation.in_training import task_scores
    from sightline.evaluation.sources import DataChoice
    from sightline.launch.processes import is_first, say
    from sightline.training.arguments import read_names, read_settings
    from sightline.training.dpo import DPOConfig
    from sightline.training.run import run_dpo

    settings = read_settings(context.args, DPOConfig)
    own_rows = DataChoice(image_folder=settings.script.image_folder, columns=read_names(settings.script.columns))
    score = task_scores(settings.script.eval_tasks, settings.script.eval_tasks_limit, own_rows)
    result = run_dpo(settings, score)
    say(result.summary)
    if is_first():
        print(result.folder)
