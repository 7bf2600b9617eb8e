"""Published annotation files whose values are of another kind are named with their record, not met as a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.documents import coco_captions, karpathy_captions, vqav2_questions
from sightline.errors import DataError

SENTENCE = {"raw": "a dog"}


@pytest.mark.parametrize(
    ("read", "content", "name"),
    [
        (karpathy_captions, {"images": [{"filename": {}, "sentences": [SENTENCE]}]}, "image 1"),
        (karpathy_captions, {"images": [{"filename": "a", "filepath": 3, "sentences": [SENTENCE]}]}, "image 1"),
        (karpathy_captions, {"images": [{"filename": "a", "split": ["x"], "sentences": [SENTENCE]}]}, "image 1"),
        (karpathy_captions, {"images": [{"filename": "a", "sentences": ["a dog"]}]}, "image 1"),
        (
            coco_captions,
            {"images": [{"id": 1, "file_name": 7}], "annotations": [{"image_id": 1, "caption": "a dog"}]},
            "image 1",
        ),
        (coco_captions, {"images": [], "annotations": [{"image_id": [], "caption": "a dog"}]}, "annotation 1"),
        (
            lambda content, file, bad: vqav2_questions(content, None, file, bad),
            {"data_subtype": {"a": 1}, "questions": [{"question_id": 1, "image_id": 2, "question": "what"}]},
            "question 1",
        ),
    ],
    ids=["filename", "filepath", "split", "sentence", "file_name", "image_id", "subtype"],
)
def test_a_value_of_another_kind_is_named_with_its_record(read: Any, content: dict[str, Any], name: str) -> None:
    bad = BadRows()
    assert list(read(content, Path("captions.json"), bad)) == []
    with pytest.raises(DataError, match=f"captions.json {name}: expected the values of the published files"):
        bad.settle(0)
