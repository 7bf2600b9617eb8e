"""`sightline cache`: what is stored, what is damaged, and clearing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sightline.cli import cache as cache_commands
from sightline.cli.main import run
from sightline.data.pictures.fetched import KIND, find_fetched, keep_fetched
from sightline.engine.store import KINDS as STORES, TensorStore


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    for kind in ("features", "references"):
        store = TensorStore(kind, "a", {"model": "tiny"})
        store.put("key", torch.ones(1000))
        store.flush()
    return tmp_path


def test_list_shows_each_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["features", "references"]
    assert "1 entries" in printed.out and "tiny" in printed.out and "of 20.0 GiB" in printed.err


def test_json_is_for_machines(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert run(["cache", "list", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["folder"] == str(cache)
    assert [(store["kind"], store["entries"]) for store in facts["stores"]] == [("features", 1), ("references", 1)]


def test_verify_finds_and_removes_damaged_shards(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    (path,) = cache.glob("features/a/*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert run(["cache", "verify"]) == 1
    assert "1 damaged files" in capsys.readouterr().out
    assert run(["cache", "verify"]) == 0


def test_fetched_pictures_are_listed_verified_and_cleared(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    path = keep_fetched("https://a.test/1", b"one", "png")
    keep_fetched("https://a.test/2", b"other", "png")
    assert run(["cache"]) == 0
    assert "pictures           2 entries" in capsys.readouterr().out
    path.write_bytes(b"two")
    assert run(["cache", "verify"]) == 1
    assert "1 damaged files" in capsys.readouterr().out and find_fetched("https://a.test/1") is None
    assert run(["cache", "clear", "--kind", "pictures"]) == 0
    assert find_fetched("https://a.test/2") is None and list(cache.glob("features/*"))
    assert run(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["pictures"]["entries"] == 0


def test_clear_removes_one_kind_or_all(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert run(["cache", "clear", "--kind", "features"]) == 0
    assert not list(cache.glob("features/*")) and list(cache.glob("references/*"))
    assert run(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["freed_bytes"] > 4000
    assert not list(cache.glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drop"], "No such command 'drop'"),
        (["clear", "--kind", "all"], "expected one of features, references, pictures; got 'all'"),
        (["list", "--kind", "features"], "unknown option --kind"),
    ],
)
def test_what_it_does_not_know_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_each_command_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    for action, shown in (("list", False), ("verify", False), ("clear", True)):
        assert run(["cache", action, "--help"]) == 0
        printed = capsys.readouterr().out
        assert f"Usage: sightline cache {action}" in printed and ("--kind" in printed) == shown


def test_the_kinds_of_the_help_are_those_that_are_stored() -> None:
    assert (*STORES, KIND) == cache_commands.KINDS


def test_a_fetched_picture_that_was_changed_since_is_not_taken(cache: Path) -> None:
    path = keep_fetched("https://a.test/1", b"one", "png")
    assert find_fetched("https://a.test/1") == path
    path.write_bytes(b"two")
    assert find_fetched("https://a.test/1") is None


def test_a_folder_of_another_user_is_one_line_that_names_the_variable(monkeypatch, capsys):
    def forbidden(path, pattern):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "glob", forbidden)
    for action in ("list", "clear", "verify"):
        assert run(["cache", action]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "SIGHTLINE_CACHE" in told
