"""CogVLM's words: Vicuna's tokenizer, which the authors leave to be brought."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from transformers import AutoTokenizer

from sightline.errors import InputError
from sightline.models.guarded import load_guarded
from sightline.models.published import sentencepiece
from sightline.models.published.folder import Folder

REPOSITORY = "lmsys/vicuna-7b-v1.5"
READY = "tokenizer.json"


def read_tokenizer(folder: Folder, settings: Mapping[str, Any], rows: int) -> Any:
    """The tokenizer that the settings name, else the folder's; `rows` are the model's embeddings.

    Raises:
        InputError: there is none, or it is another model's.
    """
    brought = settings.get("tokenizer")
    source = Folder(os.path.expanduser(brought), None, {}) if brought else folder
    tokenizer = _read(source)
    if tokenizer is None:
        raise InputError(
            f"{source.name} has no tokenizer ({READY} or {sentencepiece.FILE}), as CogVLM's authors publish none of "
            f"their own. Bring that of {REPOSITORY}: copy its {sentencepiece.FILE} into the model's folder, or name "
            "its folder (--tokenizer FOLDER)."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token
    if len(tokenizer) > rows or None in (tokenizer.pad_token_id, tokenizer.bos_token_id):
        raise InputError(
            f"{source.name}: expected the tokenizer of {REPOSITORY}, whose numbers the {rows:,} embeddings of "
            f"{folder.name} have, got one of {len(tokenizer):,} tokens that starts texts with "
            f"{tokenizer.bos_token!r} and pads with {tokenizer.pad_token!r}. Bring the other one."
        )
    return tokenizer


def _read(source: Folder) -> Any:
    if source.file(READY) is not None:
        return load_guarded(AutoTokenizer, source.name, {"revision": source.revision} if source.revision else {})
    path = source.file(sentencepiece.FILE)
    return sentencepiece.read_llama_tokenizer(path) if path is not None else None
