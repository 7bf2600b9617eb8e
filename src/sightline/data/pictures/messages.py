"""Take images out of messages in the order in which they appear, and leave placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.data.marks import count_marks, place_pictures
from sightline.data.pictures.columns import close_images, refused_picture
from sightline.errors import DataError

Row = dict[str, Any]
NameOf = Callable[[int], str]

PROMPTS = ("messages", "conversations", "prompt")
ANSWERS = ("completion", "chosen", "rejected", "rejected_messages", "rejected_conversations")
MESSAGE_COLUMNS = (*PROMPTS, *ANSWERS)
# Keys of a part, or of a message, that name a picture by themselves.
PICTURE_KEYS = (
    "image", "images", "img", "imgs", "image_url", "image_path", "image_file", "image_base64", "image_bytes", "picture",
    "pictures", "photo", "input_image",
)  # fmt: skip
# Keys that name one where the type of the part says that it is a picture.
PAYLOAD_KEYS = (*PICTURE_KEYS, "url", "path", "base64", "bytes", "data", "source", "src", "file", "file_name", "uri")
_PICTURE_TYPE = re.compile(r"image|img|picture|photo", re.IGNORECASE)
_OTHER_MEDIA = re.compile(r"video|audio|speech|sound", re.IGNORECASE)
_NAMING = rf'"(?:{"|".join(PAYLOAD_KEYS)}|video|audio)"\s*:|^\["|"(?:video|audio|image_url|input_image)"'
_SPOKEN_KEYS = frozenset({"type", "text", "index", "detail", "min_pixels", "max_pixels", "media_type"})


@dataclass(frozen=True)
class Taken:
    """A conversation without its pictures.

    Attributes:
        messages: with a placeholder part for each picture; the given ones where nothing had to be changed.
        slots: for each placeholder in order the picture that stood there, None where it names none.
        changed: whether the messages are others than those given.
    """

    messages: Any
    slots: tuple[Any, ...] = ()
    changed: bool = False

    @property
    def named(self) -> bool:
        """Whether a placeholder named its picture."""
        return any(slot is not None for slot in self.slots)


def take_pictures(messages: Any, name: str) -> Taken:
    """The pictures of a conversation's parts: `image`, `image_url` and their like, with or without `type`.

    Texts without parts stay texts, but where a message names pictures beside its text, they become parts before it.

    Raises:
        DataError: a part that is neither text nor picture; names the row.
    """
    if not isinstance(messages, list):
        return Taken(messages)
    read = [_take_message(message, name) for message in messages]
    if not any(one.slots or one.changed for one in read):
        return Taken(messages)
    slots = tuple(slot for one in read for slot in one.slots)
    changed = any(one.changed for one in read)
    return Taken([one.messages for one in read] if changed else messages, slots, changed)


def spoken_columns(dataset: Any) -> list[str]:
    """The columns of messages whose parts may name pictures, by their types, and where these are mixed by a look."""
    return [
        column
        for column in MESSAGE_COLUMNS
        if column in dataset.column_names
        and _may_name_pictures(dataset.features[column])
        and any(_json_may_name_pictures(chunk) for chunk in dataset.data.column(column).chunks)
    ]


def taken_rows(
    dataset: Any, spoken: list[str], name_of: NameOf, keep_bad: bool = False
) -> list[tuple[Row, list[Any]]] | None:
    """For each row its columns of messages, and the pictures that their placeholders name; None where none is named
    and nothing had to be changed. With `keep_bad`, messages that cannot be read stay, with a picture that says why."""
    rows = close_images(dataset.select_columns([c for c in MESSAGE_COLUMNS if c in dataset.column_names]))
    found: list[tuple[Row, list[Any]]] = []
    touched = False
    for index, row in enumerate(rows):
        try:
            taken = take_row(row, name_of(index))
        except DataError as error:
            if not keep_bad:
                raise
            taken = (row, [refused_picture(row, error, name_of(index))])
        touched = touched or taken is not None
        found.append(taken if taken is not None else (row, []))
    return found if touched else None


def take_row(row: Mapping[str, Any], name: str) -> tuple[Row, list[Any]] | None:
    """The columns of messages of a row without their pictures, and those; None where it names none."""
    taken = {column: take_pictures(row[column], name) for column in MESSAGE_COLUMNS if row.get(column) is not None}
    if not any(one.changed or one.named for one in taken.values()):
        return None
    slots = [slot for column in PROMPTS if column in taken for slot in taken[column].slots]
    return {column: one.messages for column, one in taken.items()}, _slots_with_answers(taken, slots, name)


def in_front(messages: Any, images: int) -> Any:
    """Messages with lists of parts; images that have no place come first, as TRL puts them."""
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        return messages  # what these are is told where rows are read
    even = [
        {**message, "content": _parts(message.get("content"))} if "content" in message else message
        for message in messages
    ]
    parts = [part for message in even for part in message.get("content") or ()]
    if not all(isinstance(part, Mapping) for part in parts):
        return messages
    placed = any(part.get("type") == "image" for part in parts)
    user = next((message for message in even if message.get("role") == "user"), None)
    if images and not placed and user is not None:
        user["content"] = [{"type": "image", "text": None}] * images + user["content"]
    return even


def _take_message(message: Any, name: str) -> Taken:
    if not isinstance(message, Mapping):
        return Taken(message)
    key = "value" if message.get("value") is not None else "content"
    content = message.get(key)
    beside = [value for name_ in PICTURE_KEYS for value in _listed(message.get(name_))]
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, str) or content is None:
        if not beside:
            return Taken(message)
        if isinstance(content, str) and count_marks(content):
            rest = {name_: value for name_, value in message.items() if name_ not in PICTURE_KEYS}
            placed = place_pictures([content], len(beside), name) or [[]]
            return Taken({**rest, key: placed[0]}, tuple(beside), True)
        content = [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return Taken(message)
    parts: list[Row] = []
    slots: list[Any] = []
    for part in content:
        new, shown = _take_part(part, name)
        parts += new
        slots += shown
    parts = [*({"type": "image", "text": None} for _ in beside), *parts]
    slots = [*beside, *slots]
    same = not beside and isinstance(message.get(key), list) and all(map(_is_same, content, parts))
    if same and len(content) == len(parts):
        return Taken(message, tuple(slots))
    rest = {name_: value for name_, value in message.items() if name_ not in PICTURE_KEYS}
    return Taken({**rest, key: parts}, tuple(slots), True)


def _take_part(part: Any, name: str) -> tuple[list[Row], list[Any]]:
    """The part as parts of type image and text, and the pictures that it names."""
    if isinstance(part, str):
        return [{"type": "text", "text": part}], []
    if not isinstance(part, Mapping):
        raise DataError(f"{name}: expected content parts of text and images, got {str(part)[:60]!r}. Mend the message.")
    filled = {key: value for key, value in part.items() if value is not None and value != ""}
    kind = str(filled.get("type") or "")
    media = next((key for key in (kind, *filled) if _OTHER_MEDIA.search(key)), None)
    if media is not None:
        raise DataError(
            f"{name}: expected content parts of text and images, got a part of {media}, which no model here reads. "
            "Take the part out, or leave the row out."
        )
    is_picture = bool(_PICTURE_TYPE.search(kind))
    keys = PAYLOAD_KEYS if is_picture else PICTURE_KEYS
    named = [value for key in keys for value in _listed(filled.get(key))]
    text = filled.get("text")
    if named and len(named) > 1 and not isinstance(filled.get("images"), list):
        raise DataError(
            f"{name}: expected one picture in a part, got several: {', '.join(key for key in keys if key in filled)}. "
            "Write a part for each, or drop the other keys."
        )
    if is_picture or named:
        if text and str(text).strip():
            raise DataError(
                f"{name}: expected a picture or a text in a part, got both. Write a part for each, in their order."
            )
        count = max(1, len(named))
        index = {"index": filled["index"]} if "index" in filled else {}
        return [{"type": "image", "text": None, **index}] * count, named or [None]
    if isinstance(text, str) or kind == "text" or not filled:
        return [dict(part) if kind else {"type": "text", "text": text or ""}], []
    unknown = ", ".join(key for key in filled if key not in _SPOKEN_KEYS) or kind
    raise DataError(
        f"{name}: expected content parts of text and images, got one of type {kind or 'none'} with {unknown}. "
        "Take the part out, or leave the row out."
    )


def _listed(value: Any) -> list[Any]:
    """The pictures under a key: none, one, or those of a list; a record without a filled value is none."""
    if isinstance(value, list):
        return [one for part in value for one in _listed(part)]
    if value is None or value in ("", b"") or (isinstance(value, Mapping) and not any(value.values())):
        return []
    return [value]


def _is_same(given: Any, made: Row) -> bool:
    """Whether a part may stay as it was: it has a type, and names no picture."""
    if not isinstance(given, Mapping) or given.get("type") != made["type"]:
        return False
    return not any(given.get(key) is not None for key in PAYLOAD_KEYS)


def _names_pictures(keys: Iterable[str]) -> bool:
    """Whether parts or messages with these keys may name a picture, or lack their type."""
    found = set(keys)
    return bool(found & {*PAYLOAD_KEYS, "video", "audio"})


def _json_may_name_pictures(array: Any) -> bool:
    """Whether mixed contents, which Arrow holds as JSON, have parts that name a picture or lack their type; True for
    contents of one type."""
    import pyarrow
    import pyarrow.compute as compute

    if pyarrow.types.is_list(array.type) or pyarrow.types.is_large_list(array.type):
        return _json_may_name_pictures(array.flatten())
    if pyarrow.types.is_struct(array.type):
        fields = {field.name: place for place, field in enumerate(array.type)}
        inner = [array.field(fields[key]) for key in ("content", "value") if key in fields]
        return _names_pictures(fields) or any(map(_json_may_name_pictures, inner))
    if not isinstance(array, pyarrow.ExtensionArray):
        return True
    texts = array.storage
    names = compute.match_substring_regex(texts, _NAMING)
    untyped = compute.and_(
        compute.match_substring_regex(texts, r"^\[?\{"), compute.invert(compute.match_substring(texts, '"type"'))
    )
    return bool(compute.any(compute.or_(names, untyped)).as_py())


def _may_name_pictures(kind: Any, inside: bool = False) -> bool:
    """Whether a feature of messages has keys that name pictures, parts without a type, or mixed contents."""
    from datasets import Json, List, Value

    if isinstance(kind, Json):
        return True
    if isinstance(kind, List):
        if inside and isinstance(kind.feature, Value):
            return True  # a content that is a list of texts
        return _may_name_pictures(kind.feature, inside)
    if isinstance(kind, dict):
        if _names_pictures(kind) or (inside and "type" not in kind):
            return True
        return any(_may_name_pictures(kind[key], True) for key in ("content", "value") if key in kind)
    return False


def _slots_with_answers(taken: Mapping[str, Taken], slots: list[Any], name: str) -> list[Any]:
    """The placeholders of a row, those of whole conversations that repeat the prompt's once.

    Raises:
        DataError: an answer shows a picture, or two conversations show different ones.
    """
    whole = {column: list(taken[column].slots) for column in ANSWERS if column in taken and taken[column].slots}
    for column, own in whole.items():
        opens = next((message.get("role", message.get("from")) for message in taken[column].messages), None)
        if opens in ("assistant", "gpt"):
            raise DataError(
                f"{name}: expected pictures in the prompt alone, got {len(own)} in {column}. Show them to the user, or "
                "leave the row out."
            )
        slots = slots or own
        if own != slots:
            raise DataError(
                f"{name}: expected the same pictures in all conversations of a row, got others in {column}. Name them "
                "once, in the prompt or in images."
            )
    return slots


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
