"""AI2D's option letters as lmms-eval reads them.

Source, described: lmms-eval 0.7.3 tasks/ai2d/utils.py and its exact match without case and punctuation.
"""

from __future__ import annotations

import re
import string

from sightline.scoring.reasoning import without_lmms_eval_tags
from sightline.scoring.records import Item

_OPENING = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_lmms_eval(item: Item, answer: str) -> str | None:
    """The opening letter before a period, else the answer without thought and punctuation if that is one letter.

    lmms-eval looks for the opening letter before it takes thought away, so "<think>...</think>B. cat" is unparsed.
    Blanks are kept where there is no thought, so "B " is unparsed.
    """
    if opening := _OPENING.match(answer):
        return opening.group(1)
    said = without_lmms_eval_tags(answer)
    bare = (answer if said == answer.strip() else said).translate(_NO_PUNCTUATION).upper()
    return bare if len(bare) == 1 and bare.isalpha() else None
