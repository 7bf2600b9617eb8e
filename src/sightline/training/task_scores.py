"""Check that a run can score tasks at its evaluations; the function that scores is passed in."""

from __future__ import annotations

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
