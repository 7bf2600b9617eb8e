"""What `make test-next` calls newer."""

from __future__ import annotations

from importlib.metadata import version

from tests.next_versions import newer_versions


def test_only_what_would_change_is_newer():
    found = {"transformers": "99.0", "trl": version("trl"), "huggingface_hub": "99.0"}
    report = {"install": [{"metadata": {"name": name, "version": of}} for name, of in found.items()]}
    assert newer_versions(report) == {"transformers": "99.0"}
    assert newer_versions({"install": []}) == {}
