"""How a script of a test that is one of several processes ends."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import torch.distributed


def end_beside_others() -> NoReturn:
    """Ends the process as `sightline.cli.main` does: a thread of gloo aborts one run in 50 otherwise (torch 2.13)."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
