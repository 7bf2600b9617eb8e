"""Pictures from the web where nothing can be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.data.pictures import fetched
from sightline.data.pictures.fetched import fetched_folders, find_fetched, keep_fetched


@pytest.fixture(params=["no home", "a file in its place", "read-only"])
def nothing_kept(request, monkeypatch, tmp_path):
    monkeypatch.setattr(fetched, "_passing", [])
    monkeypatch.setattr(fetched, "_fetched_now", {})
    if request.param == "no home":
        for name in ("HOME", "XDG_CACHE_HOME", "SIGHTLINE_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    elif request.param == "read-only":
        monkeypatch.setenv("SIGHTLINE_CACHE", "/proc/cache")
        monkeypatch.setattr(Path, "mkdir", lambda path, **options: (_ for _ in ()).throw(PermissionError(13, "denied")))
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))


def test_a_picture_is_fetched_once_and_found_in_this_run_and_a_variable_is_named_once(nothing_kept, capsys):
    assert find_fetched("https://a.test/1") is None
    path = keep_fetched("https://a.test/1", b"one", "png")
    keep_fetched("https://a.test/2", b"two", "png")
    assert path.read_bytes() == b"one" and find_fetched("https://a.test/1") == path
    assert path.parent in fetched_folders()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "SIGHTLINE_CACHE" in told
