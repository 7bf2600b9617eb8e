"""Start Python again in UTF-8 mode where the locale knows only ASCII."""

from __future__ import annotations

import codecs
import os
import sys


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
