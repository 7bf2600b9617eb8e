"""Read JSON and YAML of others within bounds of depth, digits and aliases, with short error messages."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

MAX_DEPTH = 100  # of lists and mappings in each other; Python's own stack ends at about 1,000
MAX_NODES = 200_000  # of a YAML file with its aliases written out
_LONG_NUMBER = re.compile(r"\d{19}")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_INT64 = range(-(2**63), 2**63)


class NotationError(ValueError):
    """A text is not what it should be; `line`, from 1, is where, or None."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line

    @property
    def placed(self) -> str:
        """What is wrong, and the line where that is known."""
        return str(self) if self.line is None else f"{self}, line {self.line}"


def read_json(text: str | bytes, unique: bool = False, for_table: bool = False) -> Any:
    """The value that a JSON text holds; `unique` wants each key of an object once, `for_table` what Arrow can store:
    whole letters, and whole numbers of 64 bits.

    Raises:
        NotationError: no JSON, nested deeper than `MAX_DEPTH`, or a number of more digits than Python reads.
    """
    try:
        written = text if isinstance(text, str) else text.decode("utf-8-sig")
        numbers = _int64 if for_table and _LONG_NUMBER.search(written) else None
        value = json.loads(written, parse_int=numbers, object_pairs_hook=_each_once if unique else None)
        if for_table and _HALF.search(written):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise NotationError(f"{error.msg}, column {error.colno}", error.lineno) from error
    except RecursionError as error:
        raise NotationError(f"nested more than {MAX_DEPTH} deep") from error
    except NotationError:
        raise
    except UnicodeEncodeError as error:
        raise NotationError("half of a surrogate pair, which is no letter") from error
    except UnicodeDecodeError as error:
        raise NotationError(f"not encoded in UTF-8, {error.reason} at byte {error.start}") from error
    except ValueError as error:  # Python 3.11 reads whole numbers of up to 4,300 digits
        raise NotationError("a number has thousands of digits") from error
    if written.count("[") + written.count("{") > MAX_DEPTH and _is_deep(value):
        raise NotationError(f"nested more than {MAX_DEPTH} deep")
    return value


def read_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value that a YAML text holds, by a loader that makes plain data alone.

    Raises:
        NotationError: no YAML, a tag that would make an object, nested too deep, or aliases that multiply, or hold
            themselves.
    """
    try:
        return _construct(loader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise NotationError(what, None if mark is None else mark.line + 1) from error
    except yaml.YAMLError as error:
        raise NotationError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise NotationError(f"nested more than {MAX_DEPTH} deep") from error
    except NotationError:
        raise
    except ValueError as error:
        raise NotationError("a number or date that cannot be read") from error


def excerpt(value: Any, longest: int = 100) -> str:
    """A value as Python writes it, for messages: of a long one the beginning, and how long it is."""
    try:
        written = repr(value)
    except (ValueError, RecursionError):  # thousands of digits; a list in itself many times over
        return f"a {type(value).__name__} too large to show"
    return written if len(written) <= longest else f"{written[:longest]}... ({len(written):,} characters)"


def _construct(reading: Any) -> Any:
    node = reading.get_single_node()
    if node is None:
        return None
    _require_bounded(node)
    return reading.construct_document(node)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise NotationError(f"the key {excerpt(twice)} stands there twice")
    return found


def _int64(digits: str) -> int:
    number = int(digits)
    if number not in _INT64:
        raise NotationError(f"a whole number has {len(digits.lstrip('-'))} digits, more than 64 bits hold")
    return number


def _is_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            return True
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
    return False


def _require_bounded(root: yaml.Node) -> None:
    """Raise NotationError for a tree that its aliases make larger than `MAX_NODES`, or endless."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise NotationError("an alias stands inside of what it names", line)
        if depth > MAX_DEPTH:
            raise NotationError(f"nested more than {MAX_DEPTH} deep", line)
        if id(node) not in sizes:
            open_nodes.add(id(node))
            inner = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in parts)
            open_nodes.remove(id(node))
        if sizes[id(node)] > MAX_NODES:
            raise NotationError(f"its aliases make more than {MAX_NODES:,} values of it", line)
        return sizes[id(node)]

    size(root, 1)
