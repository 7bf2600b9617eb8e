"""Declare torchvision's operator schemas where its compiled operators cannot load, so that its transforms import."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

# A package registry may offer a torchvision whose compiled operators were built for another torch build (a CUDA wheel
# beside a CPU torch). `import torchvision` then raises "operator torchvision::nms does not exist", because it registers
# shape functions for these two operators without asking whether they exist. Image processors use transforms only, so
# schemas without kernels are enough. Delete this file when torchvision guards those registrations with `_has_ops()`,
# as it does for its other operators (seen unguarded in 0.28, `_meta_registrations.py`).
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")


def declare_torchvision_operators() -> None:
    """Make `import torchvision` work whatever torch it was compiled for; calling it again changes nothing.

    Where the compiled operators load, they are used and nothing is declared.
    """
    if _registered("nms"):
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _compiled_operators_load(Path(spec.origin).parent):
        return
    for operator in _OPERATORS:
        if not _registered(operator):
            torch.library.define(f"torchvision::{operator}", _SCHEMA)


def has_compiled_operators() -> bool:
    """Whether torchvision's operators can be computed, and not only be named; call it once torchvision is imported."""
    return torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "CPU")


def _compiled_operators_load(package: Path) -> bool:
    for library in [*package.glob("_C*.so"), *package.glob("_C*.pyd")]:
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return _registered("nms")
    return False


def _registered(operator: str) -> bool:
    # `torch.ops.torchvision.nms` caches a failed look-up; the dispatcher's own list does not.
    return bool(torch._C._jit_get_schemas_for_operator(f"torchvision::{operator}"))
