"""The sample browser of a report: filters, search, and a bounded number of images."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from sightline.data.pictures.images import as_rgb
from sightline.shown import shown
from sightline.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PICTURES = 300
MAX_PICTURE_BYTES = 12_000_000
MAX_SAMPLES = 4_000
MAX_PICTURE_SIDE = 360
SMALL_PICTURE_SIDE = 128
GAP = 12
STATUSES = {"right": "Right", "partly": "Partly right", "wrong": "Wrong", "unparsed": "Unparsed", "error": "No answer"}


@dataclass(frozen=True)
class ShownAnswer:
    """An answer, what was read out of it, and one of `STATUSES`; `label` says whose it is where there are several."""

    label: str
    text: str
    parsed: str | None
    status: str


@dataclass(frozen=True)
class ShownSample:
    """A sample as the browser shows it.

    Attributes:
        tag: the filter it belongs to.
        pictures: content keys.
    """

    tag: str
    task: str
    id: str
    category: str
    question: str
    prompt: str
    options: tuple[str, ...]
    gold: tuple[str, ...]
    pictures: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True)
class SampleBrowser:
    """Samples behind filters.

    Attributes:
        filters: tag and its label, in order.
        pictures: addresses of the pictures that the page carries, by content key.
        caption: what was left out, and how the rest was chosen.
    """

    filters: tuple[tuple[str, str], ...]
    samples: tuple[ShownSample, ...]
    pictures: Mapping[str, str]
    caption: str


def browser(
    samples: Sequence[ShownSample],
    filters: Mapping[str, str],
    pictures: Mapping[str, Picture],
    max_pictures: int = MAX_PICTURES,
    max_samples: int = MAX_SAMPLES,
) -> SampleBrowser:
    """A browser of the samples, cut to what a page can carry: of each tag alike, evenly over the data."""
    shown = [samples[place] for place in choose_evenly([one.tag for one in samples], max_samples)]
    used = {one.tag for one in shown}
    addresses = _addresses(shown, pictures, max_pictures)
    return SampleBrowser(
        filters=tuple((tag, label) for tag, label in filters.items() if tag in used),
        samples=tuple(shown),
        pictures=addresses,
        caption=_caption(len(samples), shown, len(addresses)),
    )


def browser_json(block: SampleBrowser) -> str:
    """The samples and pictures as JSON that may stand in a script element."""
    record = {"samples": _shown([asdict(sample) for sample in block.samples]), "pictures": block.pictures}
    return json.dumps(record, ensure_ascii=False).replace("<", "\\u003c")


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return shown(value) if isinstance(value, str) else value


def choose_evenly(tags: Sequence[str], count: int) -> list[int]:
    """At most `count` places, in order: the same number of each tag as far as there are so many, each spread evenly.

    >>> choose_evenly(["right"] * 6 + ["wrong"], 3)
    [0, 3, 6]
    """
    members: dict[str, list[int]] = {}
    for place, tag in enumerate(tags):
        members.setdefault(tag, []).append(place)
    chosen: list[int] = []
    for done, places in enumerate(sorted(members.values(), key=len)):
        share = (count - len(chosen)) // (len(members) - done)
        chosen += spread(places, share)
    return sorted(chosen)


def spread(places: Sequence[int], count: int) -> list[int]:
    """`count` of the places at even distances, or all if there are no more."""
    if count < 1:
        return []
    step = max(len(places) / count, 1.0)
    return [places[int(index * step)] for index in range(min(count, len(places)))]


def _addresses(samples: Sequence[ShownSample], pictures: Mapping[str, Picture], count: int) -> dict[str, str]:
    """Addresses of at most `count` pictures, those of samples that are chosen evenly."""
    seen = [sample for sample in samples if any(key in pictures for key in sample.pictures)]
    tags, wanted, keys = [sample.tag for sample in seen], count, list[str]()
    while len(keys) < count and wanted < 2 * len(seen) + count:  # samples that share pictures leave room for more
        chosen = (seen[place] for place in choose_evenly(tags, wanted))
        keys = list(dict.fromkeys(key for sample in chosen for key in sample.pictures if key in pictures))
        wanted *= 2
    addresses = {key: picture_address(pictures[key].open()) for key in keys[:count]}
    return _within(addresses, MAX_PICTURE_BYTES)


def _within(addresses: Mapping[str, str], size: int) -> dict[str, str]:
    """As many of the addresses as have about `size` characters together, evenly over all."""
    total = sum(map(len, addresses.values()))
    kept = spread(range(len(addresses)), len(addresses) * size // max(total, size))
    keys = list(addresses)
    return {keys[place]: addresses[keys[place]] for place in kept}


def _caption(total: int, shown: Sequence[ShownSample], pictures: int) -> str:
    whole = {key for sample in shown for key in sample.pictures}
    parts = []
    if len(shown) < total:
        parts.append(f"{len(shown):,} of {total:,} samples are on this page.")
    if pictures < len(whole):
        parts.append(f"{pictures:,} of {len(whole):,} pictures are.")
    if parts:
        parts.append("As many of each kind as there are, spread evenly over the data; samples.jsonl holds all texts.")
    return " ".join(parts)


def picture_address(image: Image, max_side: int = MAX_PICTURE_SIDE) -> str:
    """A data address of the picture, at most `max_side` pixels wide and high; small ones stay exact."""
    copy = as_rgb(image).copy()
    copy.thumbnail((max_side, max_side))
    exact = max(image.size) <= SMALL_PICTURE_SIDE
    buffer = BytesIO()
    if exact:
        copy.save(buffer, format="PNG", optimize=True)
    else:
        copy.save(buffer, format="JPEG", quality=86)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def side_by_side(pictures: Sequence[Image]) -> Image:
    """The pictures in one row, centred, on white."""
    from PIL import Image as Pillow

    if len(pictures) == 1:
        return pictures[0]
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    row = Pillow.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, (row.height - picture.height) // 2))
        left += picture.width + GAP
    return row
