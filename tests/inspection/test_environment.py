"""The environment as `doctor` describes it: warnings that say what to do, on odd machines too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sightline.inspection import environment
from sightline.inspection.environment import CACHE, read_environment
from sightline.inspection.terminal import print_environment
from sightline.machine import Memory


@pytest.fixture
def nobody(monkeypatch):
    """A user id without a name, where HOME is not set, as containers have it."""
    for name in ("HOME", "HF_HOME", "XDG_CACHE_HOME", "SIGHTLINE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])


def test_without_a_home_folder_doctor_says_which_variables_name_one(nobody):
    found = read_environment()
    assert CACHE not in found.disk_gib and found.disk_gib["working directory"] > 0
    assert any("SIGHTLINE_CACHE and HF_HOME" in warning for warning in found.warnings)


def test_a_cache_folder_that_is_not_there_yet_or_may_not_be_seen_has_the_space_of_the_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "a/b"))
    assert read_environment().disk_gib[CACHE] > 0
    # As Python 3.11 and 3.12 do below a folder of another user's.
    monkeypatch.setattr(Path, "exists", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert read_environment().disk_gib[CACHE] > 0


@pytest.mark.parametrize(
    ("torch_version", "cuda", "said"),
    [
        ("2.13.0+cpu", None, "'torchvision==0.28.*' --index-url https://download.pytorch.org/whl/cpu"),
        ("2.12.1+cu126", "12.6", "'torchvision==0.27.*' --index-url https://download.pytorch.org/whl/cu126"),
        ("2.13.0", "13.0", "'torchvision==0.28.*' --index-url https://download.pytorch.org/whl/cu130"),
    ],
)
def test_a_torchvision_without_operators_for_this_torch_is_named_with_what_to_install(
    monkeypatch, torch_version, cuda, said
):
    monkeypatch.setattr(torch, "__version__", torch_version)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(environment, "has_compiled_operators", lambda: False)
    assert any(said in warning for warning in read_environment().warnings)
    monkeypatch.setattr(environment, "has_compiled_operators", lambda: True)
    assert not any("torchvision" in warning for warning in read_environment().warnings)


def test_limits_of_a_container_are_named(monkeypatch, capsys):
    monkeypatch.setattr(environment, "read_memory", lambda: Memory(2 * 2**30, 2**30, "the control group"))
    monkeypatch.setattr(environment, "usable_cpus", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    found = read_environment()
    print_environment(found)
    assert "1.0 of 2.0 GiB available (limited by the control group)" in " ".join(capsys.readouterr().out.split())
    told = "\n".join(found.warnings)
    assert "raise the limit of the control group" in told and "set OMP_NUM_THREADS=1" in told


@pytest.mark.slow
@pytest.mark.parametrize("command", [["doctor", "--json"], ["data", "check", "rows.jsonl", "--json"]])
def test_a_command_in_a_process_of_its_own_needs_no_operators_of_torchvision(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "what ?", "answer": "red"}\n')
    ended = subprocess.run([sys.executable, "-m", "sightline", *command], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)
