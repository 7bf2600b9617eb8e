"""Choose where the processes of a run compute: a GPU each, or the CPU together."""

from __future__ import annotations

import os
from typing import Any

import torch

from sightline.errors import ConfigError
from sightline.launch.processes import launched


def choose_device(args: Any) -> None:
    """Set `args.use_cpu` where a launcher started several processes on a machine without an accelerator.

    accelerate (1.15) joins processes by the kind of their accelerator, so that without one each would train alone.

    Raises:
        ConfigError: the machine has fewer GPUs than processes, which NCCL takes for a mistake once training starts.
    """
    own = launched()
    if own.count == 1 or args.use_cpu or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
        return
    args.use_cpu = not torch.accelerator.is_available()
    gpus = torch.cuda.device_count()
    if 0 < gpus <= own.local:
        raise ConfigError(
            f"LOCAL_RANK: expected a GPU for each process of this machine, which shows {gpus}; got process "
            f"{own.local + 1}. Start {gpus}, as by `torchrun --nproc_per_node {gpus}`, or set use_cpu to true."
        )


def require_all_processes(args: Any) -> None:
    """Nothing where training sees the processes that were launched.

    Raises:
        ConfigError: a launcher started several, and each would train alone and write into the same folder.
    """
    count = launched().count
    if args is not None and count > 1 and args.world_size == 1:
        raise ConfigError(
            f"use_cpu: expected true, since the launcher started {count} processes (WORLD_SIZE) and this machine "
            f"shows no accelerator; got {args.use_cpu}. Set use_cpu to true, or start one process."
        )
