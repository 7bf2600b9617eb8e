"""Environment variables that keep commands quiet, set before any library reads them."""

from __future__ import annotations

import logging
import os
import warnings

from sightline.launch.processes import is_first

DEFAULTS = {
    "TOKENIZERS_PARALLELISM": "false",          # data loaders fork after a tokenizer was used: a warning per worker
    "HF_HUB_DISABLE_TELEMETRY": "1",            # nothing is reported home
    "HF_HUB_ETAG_TIMEOUT": "3",                 # seconds until a cached model is used when the hub does not answer
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",    # one bar per pass over the rows, beside our own
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "MPLBACKEND": "Agg",                        # reports are drawn without a display
}  # fmt: skip


def set_quiet_defaults() -> None:
    """Sets each of `DEFAULTS` that the user has not set, and hides warnings that ask for nothing from the user."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not is_first():  # of several processes, whose libraries all warn alike
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        os.environ.setdefault("DATASETS_VERBOSITY", "error")
        warnings.simplefilter("ignore")
    warnings.filterwarnings("ignore", message=".*pin_memory.*", category=UserWarning)  # on machines without accelerator
    # TRL 1.16 sets the name that transformers 5.23 calls deprecated; goes with the next TRL.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated", category=FutureWarning)
    # bitsandbytes 0.50 asks for a package that loads compiled code from the Hub, on each CPU with AVX512-BF16; and says
    # that 8 bits are multiplied in float16.
    for name in ("backends.cpu.ops", "autograd._functions"):
        logging.getLogger(f"bitsandbytes.{name}").setLevel(logging.ERROR)
