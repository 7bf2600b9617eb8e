"""A tokenizer is read from the folder or the one brought; what is missing, or has no reader here, is told."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.models.published import tokenizer_files
from sightline.models.published.folder import Folder
from tests.models.published.checkpoints import byte_tokenizer


def test_the_one_that_is_brought_is_taken(tmp_path):
    byte_tokenizer("<a>").save_pretrained(tmp_path / "own")
    byte_tokenizer("<b>").save_pretrained(tmp_path / "brought")
    folder = Folder(str(tmp_path / "own"), None, {})
    assert "<a>" in tokenizer_files.read_tokenizer(folder, {}).get_vocab()
    assert "<b>" in tokenizer_files.read_tokenizer(folder, {"tokenizer": str(tmp_path / "brought")}).get_vocab()


def test_one_that_is_missing_is_asked_for(tmp_path):
    told = r"expected a tokenizer \(tokenizer.json or tokenizer.model\), got none.*--tokenizer FOLDER"
    with pytest.raises(InputError, match=told):
        tokenizer_files.read_tokenizer(Folder(str(tmp_path), None, {}), {})


def test_one_whose_words_need_tokenizer_json_asks_for_that(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"pieces")
    with pytest.raises(InputError, match=r"expected a tokenizer \(tokenizer.json\), got none"):
        tokenizer_files.read_tokenizer(Folder(str(tmp_path), None, {}), {}, {"extra_special_tokens": {}})
