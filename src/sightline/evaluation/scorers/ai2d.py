"""AI2D's option letters as lmms-eval reads them.

Source, described: lmms-eval 0.7.3 tasks/ai2d/utils.py and its exact match without case and punctuation.
"""

from __future__ import annotations

import re
import string

from sightline.evaluation.task import Item

_OPENING = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_lmms_eval(item: Item, answer: str) -> str | None:
    """The opening letter before a period, else the whole answer without punctuation if that is one letter.

    Blanks are kept, so "B " is unparsed.
    """
    if opening := _OPENING.match(answer):
        return opening.group(1)
    bare = answer.translate(_NO_PUNCTUATION).upper()
    return bare if len(bare) == 1 and bare.isalpha() else None
