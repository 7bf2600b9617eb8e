"""`sightline doctor`: the environment; with a recipe, the run before any GPU hour."""

from __future__ import annotations

import typer


def doctor_command(
    context: typer.Context,
) -> None:
    """x"""
