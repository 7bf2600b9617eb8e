"""Count every row's tokens from image sizes alone, and keep the rows that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from sightline.data.encoding.fit import DROPPING, FittedRow
from sightline.data.encoding.preferences import image_groups
from sightline.data.encoding.processors import ImageTable, process_images, refusal
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import IMAGE_COLUMNS, image_size
from sightline.data.sources.bad_rows import listed
from sightline.data.sources.datasets import row_name
from sightline.errors import DataError, SightlineError, TooLongError

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN_PROBLEMS = 5  # numbers of rows that were dropped as they should be
SIZES_PER_CALL = 8  # blank pictures at full size, held at once

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]
Kind = tuple[bool, tuple[int, int]]  # whether the image stands beside others in its row, and its size


class RowReader:
    """Sequences of a dataset's rows by the sizes of their images: each has its tokens, but no features."""

    def __init__(self, dataset: Dataset, source: str, encoder: SequenceEncoder, preferences: bool, track: Track):
        images = [column for column in IMAGE_COLUMNS if column in dataset.column_names]
        rows = dataset.select_columns(images) if images else [{}] * len(dataset)
        perturbation = encoder.settings.perturbation if preferences else None
        kinds: list[list[list[Kind]]] = []
        for index, row in enumerate(track(rows, len(dataset), "Reading image sizes")):
            name = row_name(source, index)
            groups = image_groups(row, perturbation, name)
            kinds.append([[(encoder.is_beside(group), image_size(value, name)) for value in group] for group in groups])
        self.source = source
        self.encoder = encoder
        self.preferences = preferences
        self._dataset = dataset.remove_columns(images)
        found = table_of_kinds(encoder, {kind for row in kinds for group in row for kind in group})
        self._table = found.table
        self._shown = [
            [found.of(group, row_name(source, index)) for group in groups] for index, groups in enumerate(kinds)
        ]

    def __len__(self) -> int:
        return len(self._shown)

    def images(self, index: int) -> int:
        """How many images a row shows."""
        return sum(map(len, self._shown[index]))

    def read(self, index: int) -> FittedRow:
        """The sequences of a row. Raises what training would, with the row's name."""
        name = row_name(self.source, index)
        return self.encoder.read(self._dataset[index], self._table, self._shown[index], self.preferences, name)


@dataclass(frozen=True)
class Lengths:
    """What `max_length` and `length_policy` make of a dataset's rows.

    Attributes:
        kept: indices of the rows that train.
        tokens: of each kept row's sequence, the longest of a preference row's.
        cut: how many of them lost the end of their answer or text of their prompt.
        dropped: indices of the other rows.
        longest: tokens of the longest sequence before anything was cut.
    """

    kept: tuple[int, ...]
    tokens: tuple[int, ...]
    cut: int
    dropped: tuple[int, ...]
    longest: int


def fit_lengths(reader: RowReader, track: Track) -> Lengths:
    """Every row read once, and held against `max_length` by `length_policy`.

    Raises:
        DataError: rows that the policy refuses, or none is left; names the first and how many there are.
    """
    settings = reader.encoder.settings
    kept, tokens, dropped, problems = [], [], [], []
    cut = longest = 0
    for index in track(range(len(reader)), len(reader), "Reading lengths"):
        try:
            row = reader.read(index)
        except TooLongError as error:
            dropped.append(index)
            problems.append(str(error))
            longest = max(longest, error.tokens)
            continue
        kept.append(index)
        tokens.append(max(len(sequence.ids_L) for sequence in row.sequences))
        longest = max(longest, row.length)
        cut += settings.max_length is not None and row.length > settings.max_length
    if problems and (not kept or settings.length_policy not in DROPPING):
        raise DataError(listed(problems))
    return Lengths(tuple(kept), tuple(tokens), cut, tuple(dropped), longest)


def describe(lengths: Lengths, source: str, max_length: int, policy: str) -> str:
    """One line for the user: how many rows fit, were cut, were dropped, and the longest."""
    kept, dropped = len(lengths.kept), lengths.dropped
    parts = [f"{kept - lengths.cut:,} of {kept + len(dropped):,} rows fit max_length {max_length:,}"]
    if lengths.cut:
        what = "the end of the answer" if policy == "truncate" else "text of the prompt"
        parts.append(f"{lengths.cut:,} with {what} cut")
    if dropped:
        rows = ", ".join(str(index + 1) for index in dropped[:SHOWN_PROBLEMS])
        more = ", ..." if len(dropped) > SHOWN_PROBLEMS else ""
        parts.append(f"{len(dropped):,} dropped (row{'s' * (len(dropped) > 1)} {rows}{more})")
    return f"{source}: {', '.join(parts)}; the longest has {lengths.longest:,} tokens."


@dataclass(frozen=True)
class KindTable:
    """What a placeholder becomes for an image of each kind.

    Attributes:
        table: what the processor makes of blank images of the kinds that it takes.
        places: of each of these in the table.
        refused: why the processor takes no image of the others.
    """

    table: ImageTable
    places: dict[Kind, int]
    refused: dict[Kind, str]

    def of(self, kinds: Iterable[Kind], name: str) -> tuple[int, ...]:
        """The places of the images of a row.

        Raises:
            DataError: the processor takes no image of such a size.
        """
        kinds = tuple(kinds)
        for kind in kinds:
            if kind in self.refused:
                raise DataError(refusal(name, kind[1], self.refused[kind]))
        return tuple(self.places[kind] for kind in kinds)


def table_of_kinds(encoder: SequenceEncoder, kinds: set[Kind]) -> KindTable:
    """What a placeholder becomes for an image of each kind, or why there is none."""
    ordered = sorted(kinds)  # as `process_images` wants them: those beside others last
    expansions: list[Any] = []
    refused: dict[Kind, str] = {}

    def read(part: list[Kind]) -> None:
        blanks = [Image.new("RGB", size) for _, size in part]
        try:
            expansions.extend(process_images(encoder.processor, blanks, [beside for beside, _ in part]).expansions)
        except SightlineError:  # of the model, whatever the size
            raise
        except Exception as error:  # a processor may raise anything for a size that it does not take
            if len(part) > 1:
                for kind in part:
                    read([kind])
                return
            refused[part[0]] = str(error) or type(error).__name__

    for start in range(0, len(ordered), SIZES_PER_CALL):
        read(ordered[start : start + SIZES_PER_CALL])
    taken = [kind for kind in ordered if kind not in refused]
    table = ImageTable({}, tuple(expansions), (0,) * len(expansions))
    return KindTable(table, {kind: index for index, kind in enumerate(taken)}, refused)
