"""The processes that share a run under `accelerate launch` or `torchrun`: which one this is, and waiting for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

LONGEST_WAIT = timedelta(days=14)  # a slow process is no error; one that died closes its connection at once


@dataclass(frozen=True)
class Processes:
    """This process among all, from the launcher's environment variables; alone without them."""

    rank: int = 0
    count: int = 1
    device: str | None = None

    @property
    def first(self) -> bool:
        """Whether this one writes what all of them found."""
        return self.rank == 0

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes of this run, connected as long as the context lasts.

    They talk over gloo, which has no time limit of its own, and only to wait: answers go through the journal.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    import torch

    rank = int(os.environ["RANK"])
    local = int(os.environ.get("LOCAL_RANK", rank))
    device = f"cuda:{local}" if torch.cuda.device_count() > local else None
    torch.distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield Processes(rank, count, device)
    finally:
        torch.distributed.destroy_process_group()
