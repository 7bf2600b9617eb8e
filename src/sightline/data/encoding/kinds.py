"""Find what a placeholder becomes for an image of some size, by blank images; each size is asked once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PIL import Image

from sightline.data.encoding.processors import Expansion, process_images, refusal
from sightline.errors import DataError, SightlineError

SIZES_PER_CALL = 8  # blank pictures at full size, held at once

Kind = tuple[bool, tuple[int, int]]  # whether the image stands beside others in its row, and its size


class KnownKinds:
    """The kinds of images that a processor has been asked about."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._expansions: dict[Kind, Expansion] = {}
        self._refused: dict[Kind, str] = {}

    def learn(self, kinds: Iterable[Kind]) -> None:
        """Asks for those that are not known yet."""
        new = sorted(set(kinds) - self._expansions.keys() - self._refused.keys())  # those beside others are the last
        for start in range(0, len(new), SIZES_PER_CALL):
            self._read(new[start : start + SIZES_PER_CALL])

    def expansions(self, kinds: Iterable[Kind], name: str) -> tuple[Expansion, ...]:
        """What the placeholders of images of a row become, whose kinds were learnt.

        Raises:
            DataError: the processor takes no image of such a size.
        """
        kinds = tuple(kinds)
        for kind in kinds:
            if kind in self._refused:
                raise DataError(refusal(name, kind[1], self._refused[kind]))
        return tuple(self._expansions[kind] for kind in kinds)

    def _read(self, kinds: list[Kind]) -> None:
        blanks = [Image.new("RGB", size) for _, size in kinds]
        try:
            table = process_images(self._processor, blanks, [beside for beside, _ in kinds])
        except SightlineError:  # of the model, whatever the size
            raise
        except Exception as error:  # a processor may raise anything for a size that it does not take
            if len(kinds) > 1:
                for kind in kinds:
                    self._read([kind])
                return
            self._refused[kinds[0]] = str(error) or type(error).__name__
        else:
            self._expansions.update(zip(kinds, table.expansions, strict=True))
