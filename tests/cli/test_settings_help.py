"""The help of training commands: settings with choices, defaults and meanings, on a wide and a narrow terminal."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli import data, settings_help
from sightline.cli.main import run
from sightline.data.formats.conversion import TARGETS
from sightline.models import presets
from sightline.settings.known import TASKS, known_settings
from sightline.synthesis.settings import KINDS
from sightline.training import losses

LOSS_TYPES = (
    "sigmoid hinge ipo exo_pair nca_pair robust bco_pair sppo_hard aot aot_unpaired apo_zero apo_down discopop sft "
    "sigmoid_norm mpo mdpo mdpo_conditional mdpo_anchor"
).split()
VERBS = (["sft"], ["dpo"], ["vilt", "vqa"])


def printed(words, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(words) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("verb", VERBS)
def test_no_line_is_wider_than_the_terminal(verb, columns, monkeypatch, capsys):
    for line in printed([*verb, "--help"], columns, monkeypatch, capsys).splitlines():
        assert len(line) <= min(columns, 80), line


@pytest.mark.parametrize("verb", VERBS)
def test_each_own_setting_stands_there_once_and_has_a_meaning(verb, monkeypatch, capsys):
    lines = printed([*verb, "--help"], 80, monkeypatch, capsys).splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  --")]
    assert len(named) == len(set(named))
    for setting in known_settings(verb[0]).values():
        if setting.is_ours:
            assert f"--{setting.name}" in named and setting.help, setting.name


def test_choices_defaults_and_meanings_are_written_as_they_are_typed(monkeypatch, capsys):
    shown = " ".join(printed(["dpo", "--help"], 80, monkeypatch, capsys).split())
    assert "--share <auto|mask|fork|plain> How rows share" in shown
    assert "--allow_urls Download pictures that rows name by https, from public hosts only. [default: false]" in shown
    assert "[default: []]" not in shown and "%%" not in shown
    assert "dpo [RECIPE.yaml] [MODEL] [ROWS] [--key value]..." in shown
    assert "[default: itm mlm]" in " ".join(printed(["vilt", "pretrain", "-h"], 80, monkeypatch, capsys).split())


@pytest.mark.parametrize("verb", VERBS)
def test_those_of_trl_are_one_a_line_in_a_file(verb, monkeypatch, capsys):
    lines = printed([*verb, "--help_trl"], 80, monkeypatch, capsys).splitlines()
    theirs = [one.name for one in known_settings(verb[0]).values() if not one.is_ours]
    assert [line.split()[0] for line in lines] == [f"--{name}" for name in theirs]
    assert "%%" not in "".join(lines)


@pytest.mark.parametrize("columns", [40, 80])
def test_those_of_trl_are_laid_out_on_a_terminal(columns, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = printed(["sft", "--help_trl"], columns, monkeypatch, capsys).splitlines()
    words = [line for line in lines if len(line) > columns]
    assert all(len(line.split()) == 1 for line in words), words  # a name or an address, which is not broken
    assert sum(line.startswith("--") for line in lines) > 100


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
        ("sightline build new --preset ", ["nano"]),
        ("sightline sft --preset n", ["nano"]),
        ("sightline dpo --loss_type ", LOSS_TYPES),
        ("sightline dpo --loss_type sigmoid bco", ["bco_pair"]),
        ("sightline dpo --loss_type sigmoid --loss_weights ", []),
        ("sightline dpo --f_divergence_type r", ["reverse_kl"]),
        ("sightline sft --bf16 true ", []),
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
    assert tuple(TARGETS) == data.TARGETS
    assert data.KINDS == KINDS
    assert tuple(presets.PRESETS) == settings_help.PRESETS
    assert (*losses.PRESETS, *losses.MDPO_TERMS) == settings_help.LOSSES
    assert len(TASKS) == len(set(TASKS))
