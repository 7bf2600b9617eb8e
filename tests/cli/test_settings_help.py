"""The help of training commands: settings with choices, defaults and meanings, on a wide and a narrow terminal."""

from __future__ import annotations

import pytest

from sightline.cli.main import run
from sightline.settings.known import known_settings

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
