"""What a row must say, in each of its answers."""

from __future__ import annotations

import pytest

from sightline.data.encoding.rendering import require_row_words
from sightline.errors import DataError


def test_each_of_several_rejected_answers_says_something() -> None:
    row = {"prompt": "what ?", "chosen": "red"}
    require_row_words({**row, "rejected": ["blue", "green"]}, True, "text", "row 1")
    for rejected, said in ((["blue", " "], "the answer .rejected. is empty"), ([], "at least one rejected answer")):
        with pytest.raises(DataError, match=f"row 1: .*{said}"):
            require_row_words({**row, "rejected": rejected}, True, "text", "row 1")
