"""What `sightline sft` and `sightline dpo` do alike: read the settings, train, print the folder."""

from __future__ import annotations

from collections.abc import Sequence


def train(argv: Sequence[str], verb: str) -> None:
    """Trains as `sightline sft` or `dpo` with these arguments."""
    from sightline.settings.early import check_early, require_named

    given = check_early(argv, verb)
    if given is not None:
        require_named(given)
    from sightline.models.torchvision_schemas import declare_torchvision_operators

    declare_torchvision_operators()  # before the evaluation imports transformers
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
