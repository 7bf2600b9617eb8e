"""Where tables and bars go."""

from __future__ import annotations

import builtins
import io
import re

import pytest

from sightline.console import console_on, print_pairs, print_table
from sightline.types import Table


def test_in_a_notebook_a_table_goes_where_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would import IPython, and show a block beside whatever captures the output."""
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr(builtins, "get_ipython", shell, raising=False)
    file = io.StringIO()
    console_on(file).print("rows 8")
    assert file.getvalue() == "rows 8\n"


NUMBERS = ("12,345", "100.0%", "+10.2 to +118.2", "<0.0001", "1,234,567")
TABLE = Table(
    "A title that is longer than the narrowest of these terminals",
    ("task", "items", "score", "95% interval", "McNemar p", "items to see 1 point"),
    (
        ("mmbench_dev_en_vanilla accuracy", *NUMBERS),
        ("a_name_of_fifty_letters_without_any_space_in_it_at_all", *NUMBERS),
    ),
    "Of all answers.",
    is_summed=False,
)


class Terminal(io.StringIO):
    """A terminal as wide as COLUMNS says."""

    def isatty(self):
        return True


@pytest.fixture(params=[20, 30, 40, 60, 80, 200])
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm")
    return request.param


def printed(draw, file):
    draw(file)
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())


def test_every_number_of_a_table_is_whole_on_a_terminal_of_any_width(width):
    text = printed(lambda file: print_table(TABLE, file), Terminal())
    assert "…" not in text and max(map(len, text.split("\n"))) <= width
    for number in NUMBERS:
        assert len(re.findall(rf"(?<!\S){re.escape(number)}(?!\S)", " ".join(text.split()))) == 2, (
            f"{number} of\n{text}"
        )


@pytest.mark.parametrize("columns", ["", "10", "40", "500"])
def test_in_a_file_a_table_takes_the_width_that_it_needs(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as services that build do
    title, header, _, first, second, caption, *_ = printed(lambda file: print_table(TABLE, file), io.StringIO()).split(
        "\n"
    )
    assert title == TABLE.title and caption == TABLE.caption
    assert header.split("  ")[0] == "task" and first.split() == [
        "mmbench_dev_en_vanilla",
        "accuracy",
        *" ".join(NUMBERS).split(),
    ]
    assert second.startswith(TABLE.rows[1][0])


def test_facts_are_whole_on_a_terminal_of_any_width(width):
    facts = [("disk, Hugging Face cache", "72 GiB free"), ("memory", "19.7 of 23.5 GiB available")]
    text = printed(lambda file: print_pairs(facts, file), Terminal())
    words = text.split()
    assert (
        words == " ".join(f"{name} {fact}" for name, fact in facts).split() and max(map(len, text.split("\n"))) <= width
    )


def test_a_long_path_among_facts_is_wrapped_and_not_cut(width):
    path = "/usr/local/share/a/path/that/is/longer/than/a/narrow/terminal"
    text = printed(lambda file: print_pairs([("for tests: browser", path)], file), Terminal())
    assert path in re.sub(r"\s", "", text)


def test_texts_are_to_the_left_and_numbers_to_the_right():
    table = Table("", ("what", "count", "said"), (("a", "1", "yes"), ("b", "100", "no, none")))
    _, _, *rows = printed(lambda file: print_table(table, file), io.StringIO()).split("\n")
    assert [row.rstrip() for row in rows if row.strip(" ─")] == ["a         1  yes", "b       100  no, none"]
