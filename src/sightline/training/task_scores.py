"""Score tasks at each evaluation of a training run, by a function that is passed in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sightline.errors import ConfigError
from sightline.training.references import is_sharded

Score = Callable[[Any, Any], dict[str, float]]
"""From the model in training and its processor to named numbers."""


def check_task_scores(args: Any) -> None:
    """Nothing when a run with these settings evaluates, and holds a whole model to answer with.

    Raises:
        ConfigError: it does not.
    """
    if args.eval_strategy == "no":
        raise ConfigError(
            "eval_tasks: they are scored at each evaluation, and eval_strategy is no. Set eval_strategy to steps "
            "(with eval_steps) or epoch."
        )
    if is_sharded(args):
        raise ConfigError(
            "eval_tasks: FSDP or DeepSpeed shards the model, so that no process can answer with it. Leave eval_tasks "
            "out, and run `sightline eval` on the checkpoints."
        )


def add_task_scores(trainer: Any, score: Score) -> None:
    """Lets each evaluation of the trainer report what `score` finds as `eval_NAME`, in the record of `eval_loss`.

    So they are logged, and `metric_for_best_model` and early stopping know them.
    """
    losses = trainer.evaluation_loop

    @functools.wraps(losses)
    def losses_and_scores(*args: Any, **kwargs: Any) -> Any:
        output = losses(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        if prefix.startswith("eval"):
            with trainer.accelerator.autocast():
                found = score(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class)
            output.metrics.update({f"{prefix}_{name}": value for name, value in found.items()})
        return output

    trainer.evaluation_loop = losses_and_scores
