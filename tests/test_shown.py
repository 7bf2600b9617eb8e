"""What rows, names and answers say is shown on a terminal, never sent to it."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.progress import track
from rich.table import Table
from rich.text import Text

from sightline.cli import main
from sightline.console import console_on
from sightline.pages.report import page_environment
from sightline.shown import ShownStream, shown, under

CLIPBOARD = "\x1b]52;c;QUJD\x07"
STEERING = {
    "clipboard": (CLIPBOARD, r"\x1b]52;c;QUJD\x07"),
    "title": ("\x1b]0;title\x1b\\", "\\x1b]0;title\\x1b\\"),
    "cursor": ("a\x1b[2J\x1b[1A", r"a\x1b[2J\x1b[1A"),
    "colour": ("\x1b[8mhidden", r"\x1b[8mhidden"),
    "one byte for escape and bracket": ("\x9b31m", r"\x9b31m"),
    "carriage return": ("true\rfake", r"true\rfake"),
    "backspace and bell": ("a\b\a", r"a\x08\x07"),
    "override of direction": ("\u202ecod.exe\u202c", r"\u202ecod.exe\u202c"),
    "isolate of direction": ("\u2066a\u2069", r"\u2066a\u2069"),
    "without width": ("pass\u200bword\ufeff", r"pass\u200bword\ufeff"),
    "joiners where none belongs": ("pass\u200dword\u200c", r"pass\u200dword\u200c"),
    "separators of lines": ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
    "unseen letters of tags": ("hi\U000e0041", r"hi\U000e0041"),
    "half an emoji": ("\ud83d", r"\ud83d"),
    "NUL": ("a\0b", r"a\x00b"),
}
every_kind = pytest.mark.parametrize(("sent", "seen"), STEERING.values(), ids=STEERING)
HONEST = ("plain", "tab\tand\nnewline", "naïve, Ünïcode, 中文", "می\u200cخواهم", "👩\u200d👩\u200d👧", "क्\u200dष", "")


@every_kind
def test_what_steers_a_terminal_is_spelt_out(sent, seen):
    assert shown(sent) == seen


@pytest.mark.parametrize("text", HONEST)
def test_honest_texts_stay_as_they_are(text):
    assert shown(text) == text


@every_kind
def test_a_table_shows_its_cells_whole(sent, seen):
    written = io.StringIO()
    table = Table("name", shown(sent).replace("[", r"\["))
    table.add_row("a", Text(shown(sent)))
    console_on(written).print(table)
    assert written.getvalue().count(seen) == 2 and sent not in written.getvalue()


@pytest.mark.parametrize("printed", [CLIPBOARD, Text(CLIPBOARD), f"[bold]{CLIPBOARD}[/]"])
def test_a_console_sends_nothing_of_a_text_even_where_nobody_thought_of_it(printed):
    written = io.StringIO()
    console_on(written).print(printed)
    assert "\x1b" not in written.getvalue() and r"\x1b]52" in written.getvalue()


def test_a_bar_sends_nothing_of_its_title(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True)
    console = console_on(written)
    list(track([1, 2], f"Reading {CLIPBOARD}", console=console))
    assert "\x1b]52" not in written.getvalue() and r"\x1b]52" in written.getvalue()


class Terminal(io.StringIO):
    """A terminal that keeps what it was sent."""

    def isatty(self) -> bool:
        return True


def test_a_console_writes_its_own_colours_below_a_stream_that_shows():
    written = Terminal()
    stream: Any = ShownStream(written)
    assert under(stream) is written and console_on(stream).file is written


def test_a_bar_of_tqdm_still_moves():
    written = io.StringIO()
    stream = ShownStream(written)
    for text in ("\rLoading: 10%", "\x1b[A\x1b[A", f"\rLoading {CLIPBOARD}"):
        stream.write(text)
    assert written.getvalue() == "\rLoading: 10%\x1b[A\x1b[A\rLoading \\x1b]52;c;QUJD\\x07"


@pytest.mark.parametrize(
    "arguments",
    [
        [CLIPBOARD],
        [f"--{CLIPBOARD}"],
        ["ask", f"no{CLIPBOARD}", "no.png", "?"],
        ["data", "check", f"no{CLIPBOARD}.jsonl"],
        ["sft", f"--{CLIPBOARD}", "1"],
        ["sft", "--learning_rate", CLIPBOARD],
        ["sft", "--config", f"no{CLIPBOARD}.yaml"],
        ["eval", "--model", f"./no{CLIPBOARD}", "--tasks", f"custom:{CLIPBOARD}"],
        ["compare", f"no{CLIPBOARD}", "no"],
        ["data", "synthesize", f"no{CLIPBOARD}", "--kind", CLIPBOARD, "--output_path", "out"],
        ["tasks", "show", CLIPBOARD],
    ],
    ids=" ".join,
)
def test_errors_of_every_command_show_names(arguments, capsys):
    assert main.run(arguments) != 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.err + printed.out and r"\x1b" in printed.err


def test_data_goes_into_a_file_as_it_is_and_is_shown_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(main, "build_app", lambda: lambda **_: print(CLIPBOARD))
    main.run([])
    assert capsys.readouterr().out == f"{CLIPBOARD}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    main.run([])
    assert capsys.readouterr().out == "\\x1b]52;c;QUJD\\x07\n"


def test_a_page_shows_overrides_of_direction():
    page = page_environment("sightline.evaluation").from_string("{{ name }} {{ '<b>' | safe }}")
    assert page.render(name="\u202e<cod.exe") == r"\u202e&lt;cod.exe <b>"
