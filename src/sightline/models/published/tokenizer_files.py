"""The tokenizer of an authors' folder, or of the folder that is named instead; one that is missing is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from transformers import AutoTokenizer

from sightline.errors import InputError
from sightline.models.guarded import NONE, load_guarded, quiet_loading
from sightline.models.published import sentencepiece
from sightline.models.published.folder import Folder

READY = "tokenizer.json"


def read_tokenizer(folder: Folder, settings: Mapping[str, Any], words: Mapping[str, Any] = NONE) -> Any:
    """The tokenizer that the settings name, else the folder's; `words` are further settings of a tokenizer.json.

    Most authors left SentencePiece's file alone, which is read without its package where there are no `words`.

    Raises:
        InputError: there is none.
    """
    brought = settings.get("tokenizer")
    source = Folder(os.path.expanduser(str(brought)), None, {}) if brought else folder
    if source.file(READY) is not None:
        own = {"revision": source.revision} if source.revision else {}
        with quiet_loading():  # transformers warns of the authors' `model_type`
            return load_guarded(AutoTokenizer, source.name, {**words, **own})
    vocabulary = None if words else source.file(sentencepiece.FILE)
    if vocabulary is None:
        known = READY if words else f"{READY} or {sentencepiece.FILE}"
        raise InputError(
            f"{source.name}: expected a tokenizer ({known}), got none. Copy it from the checkpoint into the folder, or "
            "name a folder that has it (--tokenizer FOLDER)."
        )
    added = source.read_settings("tokenizer_config.json").get("added_tokens_decoder", {})
    return sentencepiece.read_special_tokens(sentencepiece.read_llama_tokenizer(vocabulary), added)
