"""Turn training rows into rows to evaluate: the last answer becomes the gold answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from sightline.data.formats.columns import FIRST_ROWS, are_demonstrations, are_preferences, sft_rows
from sightline.data.formats.converted import image_counts
from sightline.data.formats.questions import BEFORE, earlier_turns
from sightline.data.formats.refused import WORDS_BESIDE, say_unread
from sightline.data.marks import count_marks
from sightline.data.sources.datasets import row_name
from sightline.data.sources.stored import DatasetTable, Row, RowTable
from sightline.errors import DataError
from sightline.types import Turn

if TYPE_CHECKING:
    from datasets import Dataset

_ROLES = ("system", "user", "assistant")
_SAID = ("messages", "prompt", "completion")
# What other columns offer to choose from was not shown in training.
_REPLACED = frozenset((*_SAID, "question", "answer", "answers", "options", "choices", *ascii_uppercase))
PLAIN = (
    " Prompts of plain text are asked by the chat template, pictures without a mark first; training gives them to the "
    "processor as they are, and most models' refuse a picture without its mark."
)
_DESCRIBED = ("caption", "captions", "text")


@dataclass(frozen=True)
class TaughtTable:
    """Rows of TRL's columns with `question` and `answers`, made of their turns.

    Attributes:
        table: the rows with `messages`, or `prompt` and `completion`.
        places: of each row of the source by its number, from 0, where its rows lie in the table: one, or one for each
            of its captions.
        note: what to know of the rows.
        bad: why rows of the source cannot be used, by their number.
    """

    table: RowTable
    source: str
    places: Mapping[int, range]
    note: str
    bad: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.places) + len(self.bad)

    def row(self, index: int) -> Row:
        """The row at `index`, from 0.

        Raises:
            DataError: it cannot be used, its turns end in no answer, or one of them cannot be asked.
        """
        number = self._numbers[index]
        if number in self.bad:
            raise DataError(self.bad[number])
        name = row_name(self.source, number)
        rows = [self.table.row(place) for place in self.places[number]]
        turns, question, _ = _exchange(_turns(rows[0].cells), name)
        answers = [_exchange(_turns(row.cells), name)[2] for row in rows]
        kept = {key: value for key, value in rows[0].cells.items() if key not in _REPLACED}
        return Row(name, number + 1, {**kept, "question": question, "answers": answers}, turns)

    @cached_property
    def _numbers(self) -> list[int]:
        return sorted({*self.places, *self.bad})


@dataclass(frozen=True)
class _AskedTable:
    """Rows of questions with `system` and `history`, whose words become turns before the question."""

    table: RowTable

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> Row:
        """The row at `index`, from 0. Raises DataError where its history is no list of pairs."""
        row = self.table.row(index)
        said = [Turn(turn["role"], turn["content"]) for turn in earlier_turns(row.cells, row.name)]
        shown = row.cells.get("images") or row.cells.get("image") or ()
        images = len(shown) if isinstance(shown, tuple) else 1
        heard = [turn.text for turn in said if turn.role != "assistant"]
        texts = [*heard, *(str(row.cells[name]) for name in row.cells if name in _REPLACED)]
        first = next((place for place, turn in enumerate(said) if turn.role == "user"), None)
        if first is not None and not any(map(count_marks, texts)):  # pictures without a mark come first, as in training
            marks = "".join(f"<image {number}>" for number in range(1, images + 1))
            said[first] = replace(said[first], text=marks + said[first].text)
        cells = {name: value for name, value in row.cells.items() if name not in BEFORE}
        return replace(row, cells=cells, turns=tuple(said))


def asked_table(table: RowTable, columns: Iterable[str]) -> RowTable:
    """Rows of questions, with what was said before each as turns, as training reads it."""
    return _AskedTable(table) if {*BEFORE} & {*columns} else table


def say_words_unread(rows: Iterable[Mapping[str, Any]], source: str) -> None:
    """Says which columns of words beside questions are not asked, by the first rows."""
    say_unread(BEFORE, [dict(row) for row in itertools.islice(rows, FIRST_ROWS)], source)


def taught_table(dataset: Dataset, source: str, skip_bad_rows: bool = False) -> TaughtTable | None:
    """The rows as questions with gold answers; None for questions with answers of their own. With `skip_bad_rows`, rows
    that cannot be used are refused when they are asked for, and not all at once.

    Raises:
        DataError: preferences, or texts in which nothing is asked.
    """
    columns = set(dataset.column_names)
    if "question" in columns and columns & {"answer", "answers"}:
        if words := [column for column in WORDS_BESIDE if column in columns]:
            say_words_unread(dataset.select_columns(words), source)
        return None
    if not are_demonstrations(dataset):
        _refuse_preferences(dataset, source)
        return None
    rows = sft_rows(dataset, source, skip_bad_rows=skip_bad_rows)
    said = [column for column in _SAID if column in rows.dataset.column_names]
    from datasets import Value

    if not said:
        raise DataError(
            f"{source}: expected questions with gold answers, found {rows.format.name} ({', '.join(sorted(columns))}), "
            "in which nothing is asked. Name the columns of both by --columns question=NAME,answer=NAME."
        )
    places = _by_row(rows.origins, len(rows.dataset))
    turns = rows.dataset.select_columns(said)
    earlier = sum(sum(turn["role"] != "system" for turn in _turns(turns[place.start])) > 2 for place in places.values())
    note = _note(source, rows.format.name, columns, earlier, len(places))
    if any(image_counts(rows.dataset)) and turns.features.get("prompt") == Value("string"):
        note += PLAIN
    table = DatasetTable(rows.dataset, source)
    return TaughtTable(table, source, places, note, rows.bad)


def _note(source: str, kind: str, columns: set[str], earlier: int, count: int) -> str:
    if not columns & set(_SAID) and "conversations" not in columns and columns & set(_DESCRIBED):
        return (
            f"{source} holds {kind}: whole captions are compared word by word. CIDEr and the like are those of "
            "`--tasks coco_caption_val2017 --data FILE`."
        )
    note = f"{source} holds {kind}: the last answer of a row is the gold answer."
    if earlier:
        note += f" {earlier:,} of {count:,} rows have turns before the last question, shown to the model as such."
    return note


def _refuse_preferences(dataset: Dataset, source: str) -> None:
    if are_preferences(dataset):
        raise DataError(
            f"{source}: expected questions with gold answers, found preferences ({', '.join(dataset.column_names)}): a "
            "chosen answer is better than another, and not the only right one. How often a model prefers it is "
            "measured by `sightline dpo --eval_dataset_name`. To take it for gold all the same, name its column: "
            "--columns answer=chosen beside a question, completion=chosen beside a prompt."
        )


def _by_row(origins: Sequence[int] | None, count: int) -> dict[int, range]:
    """Where the rows made of each row of the source lie, by its number."""
    if origins is None:
        return {place: range(place, place + 1) for place in range(count)}
    places: dict[int, range] = {}
    for number, group in itertools.groupby(range(count), key=lambda place: origins[place]):
        members = list(group)
        places[number] = range(members[0], members[-1] + 1)
    return places


def _turns(cells: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a row; a plain prompt is the user's, a plain completion the assistant's."""
    if cells.get("messages") is not None:
        return list(cells["messages"])
    parts = (("user", cells.get("prompt")), ("assistant", cells.get("completion")))
    return [
        turn for role, said in parts for turn in (said if isinstance(said, list) else [{"role": role, "content": said}])
    ]


def _exchange(said: Sequence[Mapping[str, Any]], name: str) -> tuple[tuple[Turn, ...], str, str]:
    """The turns before the last question, that question, and its answer."""
    roles = [turn.get("role") for turn in said]
    if roles[-2:] != ["user", "assistant"]:
        raise DataError(
            f"{name}: expected a question and an answer at the end, got the turns "
            f"{', '.join(map(str, roles)) or '(none)'}. Mend the row, or leave it out."
        )
    strange = next((str(turn.get("role")) for turn in said if turn.get("role") not in _ROLES), None)
    if strange is None and any(turn.get("tool_calls") for turn in said):
        strange = "an assistant that calls tools"
    if strange is not None:
        raise DataError(
            f"{name}: expected turns of {', '.join(_ROLES)}, got one of {strange}, which cannot be asked. Leave the "
            "row out."
        )
    if _shows(said[-1].get("content")):
        raise DataError(
            f"{name}: expected words alone in the last answer, got a picture, which no answer of a model is compared "
            "with. Take it out, or leave the row out."
        )
    texts, shown = [], 0
    for turn in said:
        text, shown = _text(turn.get("content"), shown)
        texts.append(text)
    before = tuple(Turn(str(role), text) for role, text in zip(roles[:-2], texts[:-2], strict=True))
    return before, texts[-2] if before else _without_first_marks(texts[-2]), texts[-1]


def _shows(content: Any) -> bool:
    return isinstance(content, list) and any(part.get("type") == "image" for part in content)


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
    """The text without the marks that it begins with, where pictures stand anyway; all of it where no words follow."""
    words, number = text, 1
    while words.startswith(f"<image {number}>"):
        words = words.removeprefix(f"<image {number}>")
        number += 1
    return words.lstrip("\n") if words.strip() and "<image " not in words else text
