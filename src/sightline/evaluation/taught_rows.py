"""Rows that training reads, as rows to evaluate: what was asked before the last answer, and that answer as gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence as Many
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.data.formats import sft_rows
from sightline.data.sources import row_name
from sightline.data.stored import DatasetTable, Row, RowTable
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

_TAUGHT = ({"messages"}, {"conversations"}, {"prompt", "completion"}, {"image", "label"}, {"images", "label"})
_TURNS = {"user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class TaughtTable:
    """Rows of TRL's columns with `question` and `answer`, made of their turns.

    Attributes:
        table: the rows with `messages`, or `prompt` and `completion`.
        numbers: of each row, that of the row of the source that it was made of, from 0.
    """

    table: RowTable
    source: str
    numbers: Many[int] | None

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> Row:
        """The row at `index`, from 0.

        Raises:
            DataError: its turns end in no answer, or one of them has no role that is known.
        """
        stored = self.table.row(index)
        name = row_name(self.source, self.numbers[index]) if self.numbers is not None else stored.name
        question, answer = _exchange(_turns(stored.cells), name)
        kept = {key: value for key, value in stored.cells.items() if key not in ("messages", "prompt", "completion")}
        return Row(name, stored.number, {**kept, "question": question, "answer": answer})


def taught_table(dataset: Dataset, source: str) -> tuple[RowTable, str] | None:
    """The rows as questions with gold answers, and what to know of that; None where they are of no such format."""
    columns = set(dataset.column_names)
    if "question" in columns or not any(needed <= columns for needed in _TAUGHT):
        return None
    rows = sft_rows(dataset, source)
    own = {"messages"} if "messages" in rows.dataset.column_names else {"prompt", "completion"}
    if not own <= set(rows.dataset.column_names):
        return None
    turns = rows.dataset.select_columns(sorted(own))
    earlier = sum(len(_turns(row)) > 2 for row in turns)
    note = f"{source} holds {rows.format.name}: the last answer of a row is the gold answer."
    if earlier:
        note += (
            f" {earlier:,} of {len(turns):,} rows have turns before the last question, asked as text in front of it."
        )
    return TaughtTable(DatasetTable(rows.dataset, source), source, rows.origins), note


def _turns(cells: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a row; a plain prompt is the user's, a plain completion the assistant's."""
    if cells.get("messages") is not None:
        return list(cells["messages"])
    parts = (("user", cells.get("prompt")), ("assistant", cells.get("completion")))
    return [
        turn for role, said in parts for turn in (said if isinstance(said, list) else [{"role": role, "content": said}])
    ]


def _exchange(turns: Many[Mapping[str, Any]], name: str) -> tuple[str, str]:
    """What is asked, earlier turns in front of it, and the last answer."""
    if len(turns) < 2 or turns[-1].get("role") != "assistant":
        raise DataError(
            f"{name}: expected a question and an answer at the end, got the turns "
            f"{', '.join(str(turn.get('role')) for turn in turns) or '(none)'}. Mend the row, or leave it out."
        )
    texts, shown = [], 0
    for turn in turns:
        text, shown = _text(turn.get("content"), shown)
        texts.append(text)
    strange = next((turn for turn in turns[:-1] if turn.get("role") not in (*_TURNS, "system")), None)
    if strange is not None:
        raise DataError(f"{name}: a turn of '{strange.get('role')}' cannot be asked as text. Leave the row out.")
    *before, asked = zip(turns[:-1], texts[:-1], strict=True)
    if not before:
        return _without_first_marks(asked[1]), texts[-1]
    said = [text if turn["role"] == "system" else f"{_TURNS[turn['role']]}: {text}" for turn, text in (*before, asked)]
    return "\n".join(said), texts[-1]


def _text(content: Any, shown: int) -> tuple[str, int]:
    """A turn's text with a mark where each picture stands, and how many were shown up to here."""
    if not isinstance(content, list):
        return ("" if content is None else str(content)), shown
    parts = []
    for part in content:
        if part.get("type") == "image":
            shown += 1
            parts.append(f"<image {shown}>")
        elif part.get("text"):
            parts.append(part["text"])
    return "".join(parts), shown


def _without_first_marks(text: str) -> str:
    """The text without marks at its start, where pictures stand anyway."""
    number = 1
    while text.startswith(f"<image {number}>"):
        text = text.removeprefix(f"<image {number}>")
        number += 1
    return text.lstrip("\n") if "<image " not in text else "".join(f"<image {one}>" for one in range(1, number)) + text
