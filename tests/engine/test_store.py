"""Tensors on disk: whole or absent, verified, several writers, a limit."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from sightline.engine.fingerprint import weights_fingerprint
from sightline.engine.store import TensorStore, clear_stores, list_stores, remove_damaged
from sightline.errors import ConfigError, MachineError
from tests.tiny import tiny_llava

WRITER = """
import sys, torch
from sightline.engine import store
store.SHARD_BYTES = 40_000
written = store.TensorStore("features", "a", {})
number = 0
while True:
    written.put(f"{sys.argv[1]} {number}", torch.full((1000,), float(number)))
    number += 1
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def filled(namespace: str = "a", count: int = 3, kind: str = "features") -> TensorStore:
    store = TensorStore(kind, namespace, {"model": "tiny"})
    for number in range(count):
        store.put(f"key {number}", torch.full((40, 50), float(number), dtype=torch.bfloat16))
    store.flush()
    return store


def test_what_is_put_is_got_before_and_after_it_is_written() -> None:
    store = TensorStore("features", "a", {})
    store.put("one", torch.ones(2, 3))
    waiting = store.get("one")
    assert waiting is not None and torch.equal(waiting, torch.ones(2, 3))
    assert "one" in store and "two" not in store and store.get("two") is None
    store.flush()
    read = TensorStore("features", "a", {}).get("one")
    assert read is not None and torch.equal(read, torch.ones(2, 3))


def test_types_and_shapes_stay() -> None:
    filled()
    read = TensorStore("features", "a", {}).get("key 2")
    assert read is not None and read.dtype == torch.bfloat16 and read.shape == (40, 50)


def test_two_writers_leave_what_both_wrote() -> None:
    first, second = TensorStore("features", "a", {}), TensorStore("features", "a", {})
    first.put("one", torch.ones(1))
    second.put("two", torch.ones(2))
    second.put("one", torch.ones(1))
    first.flush()
    second.flush()
    first.refresh()
    assert "two" in first
    assert {key for key in ("one", "two") if key in TensorStore("features", "a", {})} == {"one", "two"}


@pytest.mark.parametrize("where", [3, 40, -1])
def test_a_damaged_shard_is_removed_with_a_message_and_its_tensors_are_missing(
    where: int, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled()
    (path,) = cache.glob("features/a/*.safetensors")
    content = bytearray(path.read_bytes())
    content[where] ^= 255
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="sightline"):
        assert TensorStore("features", "a", {}).get("key 0") is None
    assert "is damaged" in caplog.text and not path.exists()


def test_a_cut_shard_is_found(cache: Path) -> None:
    filled()
    (path,) = cache.glob("features/a/*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    assert TensorStore("features", "a", {}).get("key 0") is None


@pytest.mark.parametrize(
    "header", [b"7", b"null", b'"text"', b"[1]", b'{"key 0": 7}', b'{"key 0": {"dtype": {"a": {}}}}', b"{" * 900]
)
def test_a_shard_whose_header_is_no_table_is_as_other_damage(
    header: bytes, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = len(header).to_bytes(8, "little") + header
    name = hashlib.blake2b(content, digest_size=16).hexdigest()
    (cache / "features" / "a").mkdir(parents=True)
    (cache / "features" / "a" / f"{name}.safetensors").write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="sightline"):
        assert TensorStore("features", "a", {}).get("key 0") is None
    assert "is damaged" in caplog.text
    assert [one.entries for one in list_stores(verify=True)] == [0]
    assert filled().get("key 0") is not None


def test_a_folder_in_the_place_of_a_shard_is_passed_over(cache: Path) -> None:
    (cache / "features" / "a" / "shard.safetensors").mkdir(parents=True)
    assert filled().get("key 0") is not None
    assert [(one.shards, one.damaged) for one in list_stores(verify=True)] == [(1, ())]
    clear_stores()
    assert TensorStore("features", "a", {}).get("key 0") is None


@pytest.mark.parametrize("limit", ["inf", "Infinity"])
def test_no_limit_is_a_limit(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_GIB", limit)
    assert filled().get("key 0") is not None


@pytest.mark.parametrize("limit", ["nan", "-1"])
def test_a_limit_that_limits_nothing_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_GIB", limit)
    with pytest.raises(ConfigError, match=f"expected a number of GiB; got '{limit}'"):
        filled()


def test_the_limit_removes_what_others_used_longest_ago(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, namespace in ((300, "old"), (200, "older than new"), (100, "new")):
        filled(namespace)
        for path in cache.glob(f"features/{namespace}/*.safetensors"):
            os.utime(path, (time.time() - age,) * 2)
    size = sum(path.stat().st_size for path in cache.glob("*/*/*.safetensors"))
    monkeypatch.setenv("SIGHTLINE_CACHE_GIB", str(size / 2**30))
    filled("newest", count=2)
    left = {summary.namespace for summary in list_stores() if summary.shards}
    assert left == {"older than new", "new", "newest"}


def test_a_full_cache_says_so_once_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_GIB", "0")
    with caplog.at_level(logging.WARNING, logger="sightline"):
        store = filled()
        store.put("more", torch.ones(1))
        store.flush()
    assert caplog.text.count("Nothing more is stored") == 1
    assert store.get("key 0") is None and store.get("more") is None


def test_a_folder_that_cannot_be_written_does_not_stop_the_run(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.write_text("a file where the folder should be")
    assert filled().get("key 0") is None
    assert "cannot be written" in caplog.text


def test_a_user_without_a_home_trains_without_a_store(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SIGHTLINE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert filled().get("key 0") is None
    assert "Nothing more is stored" in caplog.text and "Name one by SIGHTLINE_CACHE" in caplog.text
    with pytest.raises(MachineError, match="Name one by SIGHTLINE_CACHE"):
        list_stores()


def test_a_folder_of_another_user_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(path: Path, pattern: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", forbidden)
    store = TensorStore("features", "a", {})
    store.put("key 0", torch.ones(1))
    store.flush()
    store.refresh()  # as after each checkpoint
    assert store.get("key 0") is None
    assert "cannot be read: [Errno 13] Permission denied" in caplog.text and "SIGHTLINE_CACHE" in caplog.text
    assert caplog.text.count("Nothing more is stored") == 1


def test_a_shard_that_may_not_be_read_is_left_alone_and_computed_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled("a")
    (shard,) = cache.glob("features/a/*.safetensors")
    known = TensorStore("features", "a", {})

    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert known.get("key 0") is None and "computed again" in caplog.text and shard.exists()
    monkeypatch.setattr("builtins.open", lambda *given, **options: forbidden(shard))
    assert "key 0" not in TensorStore("features", "a", {}) and shard.exists()


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_GIB", "much")
    with pytest.raises(ConfigError, match="expected a number of GiB; got 'much'"):
        filled()


def test_listing_verifying_and_clearing(cache: Path) -> None:
    filled("a", 3)
    filled("b", 2, kind="references")
    assert [(one.kind, one.entries, one.about) for one in list_stores()] == [
        ("features", 3, {"model": "tiny"}),
        ("references", 2, {"model": "tiny"}),
    ]
    (path,) = cache.glob("features/a/*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    features, references = list_stores(verify=True)
    assert features.damaged == (path.name,) and features.entries == 0 and references.damaged == ()
    remove_damaged(features)
    assert not path.exists()
    assert clear_stores("references") > 0
    assert [one.kind for one in list_stores()] == ["features"]


@pytest.mark.slow
def test_kill_9_while_writing_leaves_whole_shards_only(cache: Path) -> None:
    """Two writers of one namespace, both killed; nothing readable is damaged."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in ("one", "two")]
    deadline = time.monotonic() + 60
    while len(list(cache.glob("features/a/*.safetensors"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    (summary,) = list_stores(verify=True)
    assert summary.damaged == () and summary.entries >= 100
    store = TensorStore("features", "a", {})
    for number in (0, 1, 2):
        read = store.get(f"one {number}")
        assert read is None or torch.equal(read, torch.full((1000,), float(number)))


def test_ctrl_c_while_writing_leaves_no_partial_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    store = TensorStore("features", "a", {})
    store.put("one", torch.ones(1))
    (cache / "features/a").mkdir(parents=True)
    (cache / "features/a" / "about.json").write_text("{}")
    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.flush()
    assert [path.name for path in (cache / "features/a").iterdir()] == ["about.json"]


def test_an_adapter_leaves_the_hash_of_its_base() -> None:
    plain = weights_fingerprint(tiny_llava(1))
    wrapped = get_peft_model(tiny_llava(1), LoraConfig(r=2, target_modules=["q_proj"]))
    assert weights_fingerprint(wrapped.get_base_model(), adapters=["default"]) == plain
    assert weights_fingerprint(tiny_llava(2)) != plain


def test_modules_that_are_left_out_do_not_count() -> None:
    one, other = tiny_llava(1), tiny_llava(1)
    with torch.no_grad():
        other.model.language_model.embed_tokens.weight.add_(1)
        other.lm_head.weight.add_(1)
    left_out = [(model.model.language_model, model.lm_head) for model in (one, other)]
    assert weights_fingerprint(one, left_out[0]) == weights_fingerprint(other, left_out[1])
    assert weights_fingerprint(one) != weights_fingerprint(other)


@pytest.fixture
def only_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared folder of which files may be read and nothing else, also by root, whom no file mode stops."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("unlink", "replace", "mkdir", "rmdir"):
        monkeypatch.setattr(Path, name, forbidden)
    monkeypatch.setattr("os.utime", forbidden)
    monkeypatch.setattr("sightline.engine.store.write_bytes", forbidden)
    monkeypatch.setattr("sightline.engine.store.write_text", forbidden)


def test_a_shared_cache_that_may_not_be_written_is_read(
    cache: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    filled()
    request.getfixturevalue("only_readable")
    with caplog.at_level(logging.WARNING, logger="sightline"):
        store = TensorStore("features", "a", {})
        assert store.get("key 0") is not None and caplog.text == ""
        store.put("new", torch.ones(1))
        store.flush()
        assert store.get("key 1") is not None and "new" not in store
    assert "cannot be written: [Errno 1] Operation not permitted" in caplog.text


def test_a_damaged_shard_of_a_shared_cache_is_passed_over(
    cache: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    filled()
    (path,) = cache.glob("features/a/*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    request.getfixturevalue("only_readable")
    with caplog.at_level(logging.WARNING, logger="sightline"):
        assert TensorStore("features", "a", {}).get("key 0") is None
        (summary,) = list_stores(verify=True)
        remove_damaged(summary)
    assert summary.damaged == (path.name,) and path.exists()
    assert caplog.text.count("It may not be removed, and is not read") == 2
