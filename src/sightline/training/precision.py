"""Default precision: bf16 on an accelerator, fp32 on a CPU."""

from __future__ import annotations

from typing import Any

import torch


def choose_precision(args: Any) -> None:
    """Set `args.bf16` where neither it nor `fp16` is set: TRL's default of bf16 on an accelerator, fp32 on a CPU.

    TRL 1.16 itself asks for bf16 everywhere and then refuses to start on a CPU.
    """
    if args.bf16 is None and not args.fp16 and (args.use_cpu or not torch.accelerator.is_available()):
        args.bf16 = False
