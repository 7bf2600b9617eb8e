"""What TAB offers in bash, zsh and fish, asked as the shells' own scripts ask; and that it comes at once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli import data_convert, data_synthesize
from sightline.cli.main import run
from sightline.data.formats.conversion import TARGETS
from sightline.settings.task_names import TASKS
from sightline.synthesis.settings import KINDS

LIMIT_S = 0.4  # of processor time, which other work on the machine does not change; starting Python is part of it


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash is given for a command line that ends where TAB is pressed."""
    monkeypatch.setenv("_SIGHTLINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
    assert run([]) == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sightline d", ["demo", "dpo", "doctor", "data"]),
        ("sightline data s", ["synthesize"]),
        ("sightline cache ", ["list", "verify", "clear"]),
        ("sightline cache clear --kind ", ["features", "references", "pictures"]),
        ("sightline tasks show p", ["pope", "puzzlevqa"]),
        ("sightline eval --tasks pope,mme", ["pope,mme"]),
        ("sightline eval nano --predict", ["--predictions", "--prediction_column"]),
        ("sightline data convert a.json b.json --to trl", ["trl-sft", "trl-dpo", "trl-kto"]),
        ("sightline sft --eval_t", ["--eval_tasks", "--eval_tasks_limit"]),
        ("sightline sft nano rows.jsonl --share ", ["auto", "mask", "fork", "plain"]),
        ("sightline dpo --share = f", ["fork"]),  # so does bash cut `--share=f`
        ("sightline sft mine.yaml --packing t", ["true"]),
        ("sightline sft --eval_tasks nlv", ["nlvr_v1"]),
        ("sightline vilt vqa --draw", ["--draw_false_texts"]),
        ("sightline doctor --length_p", ["--length_policy"]),
        ("sightline sft --config recipes/vilt/v", ["recipes/vilt/vqa.yaml"]),
        ("sightline sft --config mi", ["mine.yaml"]),
        ("sightline sft --config s", ["sub/other.yml"]),
        ("sightline sft na", []),  # the shell offers files and folders
        ("sightline sft --output_dir ", []),
    ],
)
def test_bash_is_offered(line, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    for name in ("mine.yaml", "sub/other.yml", "rows.jsonl"):
        Path(name).touch()
    assert offered(line, monkeypatch, capsys) == expected


def test_zsh_and_fish_are_offered_the_same_with_a_meaning_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "sightline sft --feature")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    for shell in ("zsh", "fish"):
        monkeypatch.setenv("_SIGHTLINE_COMPLETE", f"complete_{shell}")
        assert run([]) == 0
        printed = capsys.readouterr().out
        assert "--feature_store" in printed and "Store image features on disk" in printed and printed.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown_and_installed(shell, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["--show-completion", shell]) == 0
    assert "_SIGHTLINE_COMPLETE" in capsys.readouterr().out
    assert run(["--install-completion", shell]) == 0
    assert any("_SIGHTLINE_COMPLETE" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("line", ["sightline sft --learn", "sightline eval --tasks ", "sightline "])
def test_it_comes_at_once(line):
    told = {"_SIGHTLINE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sightline"], env=os.environ | told, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0 and done.stdout.strip()
    assert imported.isdisjoint({"torch", "transformers", "trl", "datasets", "numpy", "PIL"})
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < LIMIT_S


def test_what_is_offered_is_what_is_taken():
    assert tuple(TARGETS) == data_convert.TARGETS
    assert data_synthesize.KINDS == KINDS
    assert len(TASKS) == len(set(TASKS))
