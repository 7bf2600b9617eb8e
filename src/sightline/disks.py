"""Messages for disk errors: full, read-only, broken, or gone from the network."""

from __future__ import annotations

import errno
import os

_ROOM = "Free space there, or name another place."
# Windows lacks some of these errors.
_ADVICE = {
    getattr(errno, name, 0): advice
    for name, advice in {
        "ENOSPC": _ROOM,
        "EDQUOT": _ROOM,
        "EFBIG": "A file may not be so large there: raise the limit (ulimit -f), or name another file system.",
        "EROFS": "Mount it for writing, or name another place; a disk that fails becomes so (dmesg shows it).",
        "EIO": "The disk or its connection fails: look at it (dmesg), or name a place on another one.",
        "ESTALE": "The network folder was taken away or changed on its server: mount it again, or name another place.",
    }.items()
}
_ADVICE.pop(0, None)
_NO_TEMPORARY = "No usable temporary directory"  # Python's words, without a class or a number of their own


def told_disk(error: BaseException) -> str:
    """What to say of an error that means a disk without room, one that fails, or none for temporary files; else ''."""
    if _NO_TEMPORARY in str(error):
        return f"{getattr(error, 'strerror', None) or error}. Name a folder that can be written by TMPDIR."
    number = getattr(error, "errno", None)
    if number not in _ADVICE:
        told = str(error)  # libraries written in other languages keep the words alone
        number = next((one for one in _ADVICE if os.strerror(one) in told), None)
    if number is None:
        return ""
    place = f"{place}: " if (place := getattr(error, "filename", None)) else ""
    return f"{place}{os.strerror(number)}. {_ADVICE[number]}"
