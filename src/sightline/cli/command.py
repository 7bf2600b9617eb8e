"""Commands and groups: names as people type them, messages that use the right one, help as wide as the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer._click.exceptions import UsageError  # of the one minor version that pyproject.toml allows
from typer._click.formatting import HelpFormatter  # of the one minor version that pyproject.toml allows
from typer.core import TyperArgument, TyperCommand, TyperGroup

from sightline.config import COMMAND_LINE, require_range
from sightline.errors import ConfigError
from sightline.launch.processes import is_first
from sightline.settings.given import say_twice
from sightline.settings.spellings import say_todays
from sightline.settings.words import hint, is_worth_a_line, our_name

WIDEST = 80
NARROWEST = 30
NARROW = 60  # below it two columns leave no room for the second


class HelpLayout(HelpFormatter):
    """Click's formatter, which never writes less than 50 columns, on terminals that have less."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        widest = min(shutil.get_terminal_size().columns, max_width or WIDEST)
        super().__init__(indent_increment, width or max(widest - 2, NARROWEST), max_width)

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, 4 if self.width < NARROW else col_max, col_spacing)


class LaidOut(typer.Context):
    """A context whose help is laid out so."""

    formatter_class = HelpLayout


class SightlineGroup(TyperGroup):
    """Typer's group.

    Attributes:
        by_itself: the command that acts where none is named; empty for the help.
        meant: what to write for a word that is no command, or ''.
    """

    context_class = LaidOut
    by_itself = ""
    meant: Callable[[str], str] = staticmethod(lambda word: "")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the command's name before them where an option or nothing stands first."""
        is_open = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if self.by_itself and is_open and not ctx.resilient_parsing:
            args = [self.by_itself, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names. Raises UsageError where there is none; with what the word may mean."""
        try:
            return super().resolve_command(ctx, args)
        except UsageError as error:
            said = self.meant(args[0]) if args[0] not in self.commands else ""
            if said:
                error.message = f"No such command '{args[0]}'. {said}"
            raise


def group_of(by_itself: str = "", meant: Callable[[str], str] | None = None) -> type[SightlineGroup]:
    """The class of a group with these attributes."""
    given: dict[str, Any] = {"by_itself": by_itself}
    if meant is not None:
        given["meant"] = staticmethod(meant)
    return type("SightlineGroup", (SightlineGroup,), given)


@dataclass(frozen=True)
class _Typed:
    """A word of the command line: an option by its own name with its value, or an argument."""

    name: str = ""
    value: str | None = None
    text: str = ""


class SightlineCommand(TyperCommand):
    """Typer's command that also takes `--model-name-or-path`, `--modelNameOrPath` and equal names for an option, and
    `--model M` for an argument; a name that nothing has is refused with what it is called here."""

    context_class = LaidOut

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, read as Typer reads them under the options' own names; a shell's completion reads on."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if not ctx.ignore_unknown_options:
            try:
                args = self._own_names(args, ctx.command_path)
            except ConfigError as error:
                error.said = not is_first()  # of several processes, which all read the same line
                raise
        rest = super().parse_args(ctx, args)
        for name, value in ctx.params.items():
            require_range(name, value, f"{COMMAND_LINE}: --{name}")
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options, those of a heading of their own below it."""
        headings: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            own = "Arguments" if isinstance(parameter, TyperArgument) else "Options"
            if record is not None:
                headings.setdefault(getattr(parameter, "rich_help_panel", None) or own, []).append(record)
        for heading, records in headings.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def _own_names(self, args: Sequence[str], path: str) -> list[str]:
        places = [parameter for parameter in self.params if isinstance(parameter, TyperArgument)]
        named: dict[str, str] = {}
        options: list[str] = []
        loose: list[str] = []
        seen: dict[str, str | None] = {}
        several = {parameter.name for parameter in self.params if getattr(parameter, "multiple", False)}
        for typed in self._typed(args, path):
            if not typed.name:
                loose.append(typed.text)
                continue
            if typed.name in seen and seen[typed.name] != typed.value and typed.name not in several:
                say_twice(typed.name, seen[typed.name], typed.value)
            seen[typed.name] = typed.value
            if any(place.name == typed.name for place in places) and typed.value is not None:
                named[typed.name] = typed.value
            else:
                options.append(typed.text)
                options += [] if typed.value is None or "=" in typed.text else [typed.value]
        if not named and not loose:
            return options
        rest = iter(loose)
        filled = [named[str(place.name)] if place.name in named else next(rest, None) for place in places]
        while filled and filled[-1] is None:
            filled.pop()
        whole = [_or_default(place, one, path) for place, one in zip(places, filled, strict=False)]
        return [*options, "--", *whole, *rest]

    def _typed(self, args: Sequence[str], path: str) -> Iterator[_Typed]:
        flags = self._flags()
        rest = iter(args)
        for argument in rest:
            if argument == "--":
                yield from (_Typed(text=one) for one in rest)
            elif argument == "-h":
                yield _Typed("help", text=argument)
            elif not argument.startswith("--"):
                yield _Typed(text=argument)
            else:
                yield self._option(argument, flags, rest, path)

    def _option(self, argument: str, flags: dict[str, bool], rest: Iterator[str], path: str) -> _Typed:
        word, equals, value = argument[2:].partition("=")
        name = our_name(word, flags)
        if name is None:
            said = hint(word, flags) or f"No option has a name like it: see `{path} --help`."
            raise ConfigError(f"{COMMAND_LINE}: unknown option --{word}. {said}")
        say_todays([f"{word} is {name} here"] if is_worth_a_line(word, name) else [])
        if equals:
            return _Typed(name, value, f"--{name}={value}")
        if flags[name]:
            return _Typed(name, None, f"--{name}")
        following = next(rest, None)
        if following is None or (following.startswith("--") and self._names_option(following, flags)):
            raise ConfigError(f"{COMMAND_LINE}: --{word} needs a value after it.")
        return _Typed(name, following, f"--{name}")

    def _names_option(self, word: str, flags: dict[str, bool]) -> bool:
        return our_name(word[2:].partition("=")[0], flags) is not None

    def _flags(self) -> dict[str, bool]:
        """Whether an option takes no value, by its name; arguments may be named, too."""
        found = {"help": True}
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                found[str(parameter.name)] = False
                continue
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--"):
                    found[option[2:]] = bool(getattr(parameter, "is_flag", False))
        return found


def _or_default(place: TyperArgument, value: str | None, path: str) -> str:
    """The value of an argument; its default where it is left out before one that is named."""
    if value is None and place.required:
        raise ConfigError(f"{COMMAND_LINE}: expected {place.name}, which is missing: see `{path} --help`.")
    return str(place.default or "") if value is None else value
