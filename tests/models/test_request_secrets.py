"""Keys among the further fields of a request: the server gets them, and no record does."""

from __future__ import annotations

import json

from sightline.models.endpoint import read_extra_body, with_thinking
from sightline.runs import plain_data
from sightline.secrets import HIDDEN, without_known, without_secrets


def test_a_key_among_the_request_fields_is_sent_and_not_recorded():
    fields = read_extra_body('{"top_k": 3, "extra": {"api_key": "Key-In-Fields-77"}}')
    sent = with_thinking(fields, True, "--extra_body")
    assert json.loads(json.dumps(sent))["extra"] == {"api_key": "Key-In-Fields-77"}
    assert plain_data(sent)["extra"] == {"api_key": HIDDEN} and "Key-In-Fields-77" not in repr(sent)
    assert without_secrets(sent)["extra"] == {} and without_secrets(sent)["top_k"] == 3
    assert without_known("Key-In-Fields-77") == HIDDEN
