"""Make texts safe to print: control characters and hidden characters are spelt out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

# Control characters but tab and newline; soft hyphens, marks and overrides of direction, separators and spaces without
# width, tags, halves of surrogate pairs. Joiners are part of words and emoji, but not beside ASCII, where none belongs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_LINE_UP = "\x1b[A"


def shown(text: str) -> str:
    r"""The text with each such character as Python writes it: `\x1b`, `\r`, `\u202e`.

    >>> print(shown("a\x1b]52;c;AAAA\x07b"))
    a\x1b]52;c;AAAA\x07b
    """
    return _UNSEEN.sub(_spelt, text) if _UNSEEN.search(text) else text


def is_plain(text: str) -> bool:
    """Whether `shown` would leave the text as it is."""
    return _UNSEEN.search(text) is None


class ShownStream:
    """A text stream that shows whatever is written to it, and is the stream `under` it in all else.

    A bar of tqdm's still moves: it begins with a carriage return, and goes up by writing nothing else.
    """

    def __init__(self, under: TextIO) -> None:
        self.under = under

    def write(self, text: str) -> int:
        if text and text == _LINE_UP * (len(text) // len(_LINE_UP)):
            return self.under.write(text)
        start = "\r" if text.startswith("\r") else ""
        self.under.write(start + shown(text[len(start) :]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)


def under(stream: TextIO) -> TextIO:
    """The stream below a `ShownStream`, for those who show what they write themselves; any other is itself."""
    return stream.under if isinstance(stream, ShownStream) else stream


def _spelt(found: re.Match[str]) -> str:
    letter = found.group()
    code = ord(letter)
    if letter == "\r":
        return r"\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
