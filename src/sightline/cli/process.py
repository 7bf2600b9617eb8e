"""What the process of a command begins with: quiet libraries, names of files in UTF-8, signals as exceptions."""

from __future__ import annotations

import codecs
import logging
import os
import signal
import sys
import warnings
from types import FrameType

from sightline.errors import Stopped
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


def use_utf8() -> None:
    """Starts this command again in UTF-8 mode where names of files would be read as ASCII; else nothing.

    Python does so by itself under the locale C, unless PYTHONUTF8=0, PYTHONCOERCECLOCALE=0 or another ASCII locale
    keep it from that. The process stays the same one.
    """
    is_ascii = codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
    if not is_ascii or os.environ.get("PYTHONUTF8") == "1" or not sys.executable or not sys.orig_argv:
        return
    os.environ["PYTHONUTF8"] = "1"  # for workers and processes that this one starts, too
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def told_unencodable(error: UnicodeEncodeError) -> str:
    """What to say of a name whose bytes are no text in the encoding of file names here; empty for another text."""
    part = error.object[error.start : error.end]
    if not any("\udc80" <= letter <= "\udcff" for letter in part):  # how Python keeps such bytes
        return ""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next(filter(None, names), "none set")
    return (
        f"{error.object[:200]}: expected a name in {sys.getfilesystemencoding()}, as the locale ({locale}) has it; got "
        "other bytes. Rename it, or set LC_ALL=C.UTF-8 where the name is UTF-8."
    )


def end_on_signals() -> None:
    """Lets both signals raise `Stopped` in the main thread; a signal that is ignored, as under nohup, stays so."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
