"""Render chat templates of others within bounds of time and size, without access to Python."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_SECONDS = 10.0  # honest templates take milliseconds
MAX_SIZE = 2**24  # letters and entries of one value, and of the whole text
MAX_BITS = 2**14
LONG_WIDTH = re.compile(r"\d{6}")  # of a field in a format
# What makes long texts of short ones and stands in no chat template.
LEFT_OUT = ("wordwrap", "urlize", "xmlattr", "pprint")
DENIED = ("translate", "maketrans", "expandtabs")
WIDTHS = ("center", "ljust", "rjust", "zfill", "batch", "slice")  # as long as their number
PER_LINE = ("indent", "tojson")  # as long as their number for each line
GROWING = frozenset((*WIDTHS, *PER_LINE, "replace", "join", "format", "format_map", "string", "__together"))

_watch = threading.local()


def bound_templates() -> None:
    """From now on transformers, and so TRL, renders chat templates by `BoundedEnvironment`.

    The name is where transformers 5.23 finds the environment; templates that it has compiled before are compiled anew.
    """
    from transformers.utils import chat_template_utils

    if chat_template_utils.ImmutableSandboxedEnvironment is BoundedEnvironment:
        return
    chat_template_utils.ImmutableSandboxedEnvironment = BoundedEnvironment
    for function in vars(chat_template_utils).values():
        if isinstance(function, functools._lru_cache_wrapper):
            function.cache_clear()


class _BoundedTemplate(Template):
    """A template whose time runs from the moment its values are known; one that ran out of it is not tried again."""

    stopped: str = ""

    def new_context(self, *args: Any, **named: Any) -> Any:
        if self.stopped:
            raise SecurityError(self.stopped)
        _watch.end, _watch.steps = time.monotonic() + MAX_SECONDS, 0
        return super().new_context(*args, **named)

    def render(self, *args: Any, **named: Any) -> str:
        return "".join(self.generate(*args, **named))

    def generate(self, *args: Any, **named: Any) -> Iterator[str]:
        length = 0
        try:
            for piece in super().generate(*args, **named):
                length += len(piece)
                _require(length)
                yield piece
        except _OutOfTimeError as error:
            self.stopped = str(error)
            raise
        except TemplateError:
            raise
        except (RecursionError, MemoryError) as error:
            raise SecurityError("it calls itself without end, or fills the memory") from error
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from error


class _OutOfTimeError(SecurityError):
    """A template took longer than it may."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox of transformers, in which each loop, call, filter, operator and output is counted and measured."""

    template_class = _BoundedTemplate
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.optimized = False  # which would work out constants before anything is counted
        self.finalize = _measured
        for name in LEFT_OUT:
            self.filters.pop(name, None)
        self.globals.pop("lipsum", None)

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """The text of a macro or a block."""
        found, length = [], 0
        for piece in pieces:
            length += len(piece)
            _require(length)
            found.append(piece)
        return "".join(found)

    def compile(self, *args: Any, **named: Any) -> Any:
        own = {"__counted": _counted, "__together": _together}
        self.filters = {name: _bounded(name, of) for name, of in {**self.filters, **own}.items()}
        try:
            return super().compile(*args, **named)
        except RecursionError as error:
            raise SecurityError("it is nested too deep") from error

    def _generate(self, source: nodes.Template, *args: Any, **named: Any) -> Any:
        tree = _Counted().visit(source)
        tree.set_environment(self)
        return super()._generate(tree, *args, **named)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in DENIED and super().is_safe_attribute(obj, attr, value)

    def call(self, context: Any, obj: Any, *args: Any, **named: Any) -> Any:
        _step()
        method = getattr(obj, "__wrapped__", obj)  # the sandbox wraps `format`
        subject = getattr(method, "__self__", None)
        _require_growth(getattr(method, "__name__", ""), (subject, *args, *named.values()))
        return _counted_entries(super().call(context, obj, *args, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _step()
        _OPERATORS[operator](left, right)
        return super().call_binop(context, operator, left, right)


class _Counted(NodeTransformer):
    """Makes every loop count its steps, and measures what `~` puts together."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "__counted", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "__together", [], [], None, None, lineno=node.lineno)


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step()
        yield value


def _together(parts: list[Any]) -> str:
    return "".join(str(part) for part in parts)


def _bounded(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments and result are measured."""
    if getattr(of, "is_bounded", False):
        return of

    @functools.wraps(of)
    def measured(*args: Any, **named: Any) -> Any:
        _step()
        _require_growth(name, (*args, *named.values()))
        return _counted_entries(of(*args, **named))

    measured.is_bounded = True  # type: ignore[attr-defined]
    return measured


def _step() -> None:
    _watch.steps += 1
    if _watch.steps % 64 == 0 and time.monotonic() > _watch.end:
        raise _OutOfTimeError(f"it takes more than {MAX_SECONDS:.0f} s, as one that loops does")


def _require(size: int) -> None:
    if size > MAX_SIZE:
        raise SecurityError(f"it makes a text or list of more than {MAX_SIZE:,} letters or entries")


def _measured(value: Any) -> Any:
    """The value, once it is known to be small enough to be written out."""
    _require(len(value) if isinstance(value, str) else _size(value, {}))
    return value


def _counted_entries(value: Any) -> Any:
    """What a call gave, once it is known that it is itself no longer than it may be."""
    if isinstance(value, str | list | tuple | dict):
        _require(len(value))
    return value


def _size(value: Any, known: dict[int, int]) -> int:
    """Letters and entries that a value has when it is written out; one that stands there twice counts twice."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 3
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_SIZE + 1  # of one that holds itself
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(1 + _size(one, known) for one in inner)
    return known[id(value)]


def _require_growth(name: str, values: tuple[Any, ...]) -> None:
    """Raise SecurityError where a filter or method of that name would make something too long of the values."""
    if name not in GROWING:
        return
    size = _size([value for value in values if isinstance(value, str | list | tuple | dict)], {})
    _require(size)
    widths = [abs(value) for value in values if isinstance(value, int)]
    if name in WIDTHS:
        _require(max(widths, default=0))
    elif name in PER_LINE:
        _require(max(widths, default=0) * size)
    elif name == "replace":
        texts = [value for value in values if isinstance(value, str)]
        _require(len(texts[0]) + texts[0].count(texts[1]) * len(texts[2]) if len(texts) > 2 else 0)
    elif name == "join":
        entries = max((len(value) for value in values if isinstance(value, str | list | tuple)), default=0)
        _require(entries * min((len(value) for value in values if isinstance(value, str)), default=0))
    elif name in ("format", "format_map") and isinstance(values[0], str):
        _require_format(values[0], values[1:])


def _require_format(text: str, values: Any) -> None:
    if LONG_WIDTH.search(text):
        raise SecurityError("it formats a field of more than 99,999 letters")
    inner = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    widths = [abs(one) for one in inner if isinstance(one, int)]
    _require(max(widths, default=0) if "*" in text or "{}" in text else 0)
    _require((text.count("%") + text.count("{")) * _size(list(inner), {}))


def _add(left: Any, right: Any) -> None:
    if isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        _require(len(left) + len(right))


def _multiply(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _require_bits(left.bit_length() + right.bit_length())
        return
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(times, int):
            _require(len(many) * max(0, times))


def _raise_to(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _require_bits(left.bit_length() * abs(right))


def _modulo(left: Any, right: Any) -> None:
    if isinstance(left, str):
        _require_format(left, (right,))


def _require_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise SecurityError("it works out a number of thousands of digits")


_OPERATORS = {"+": _add, "*": _multiply, "**": _raise_to, "%": _modulo}
