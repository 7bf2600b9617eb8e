"""A group of commands, with a default command and a message for words that are no command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer._click.exceptions import UsageError  # of the one minor version that pyproject.toml allows
from typer.core import TyperGroup

from sightline.cli.help_layout import LaidOut


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
        """The command that the first word names.

        Raises:
            UsageError: there is none; with what the word may mean.
        """
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
