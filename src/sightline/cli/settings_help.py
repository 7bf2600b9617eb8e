"""The help of a training command: Sightline's own settings with choices, defaults and meanings; TRL's on request."""

from __future__ import annotations

from typing import Any

import typer

from sightline.cli.command import SightlineCommand
from sightline.settings.known import Setting, known_settings

FIRST = ("model_name_or_path", "dataset_name", "output_dir", "learning_rate", "num_train_epochs", "max_steps")
UPSTREAM = {"--help_trl", "--help-trl"}
MOST_USED = (*FIRST, "per_device_train_batch_size", "max_length", "use_peft", "bf16", "resume_from_checkpoint")


def settings_command(verb: str) -> type[SightlineCommand]:
    """The command whose help lists the settings of `sft`, `dpo` or `vilt`."""

    class TrainingCommand(SightlineCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if not UPSTREAM.isdisjoint(args):
                _print_upstream(verb)
                raise typer.Exit
            return super().parse_args(ctx, args)

        def format_options(self, ctx: Any, formatter: Any) -> None:
            super().format_options(ctx, formatter)
            known = known_settings(verb)
            used = [known[name] for name in MOST_USED if name in known]
            _section(formatter, "Most used settings, as --key value or `key: value` in a recipe", used)
            _section(formatter, "Sightline's own", [one for one in known.values() if one.is_ours and one not in used])
            formatter.write_paragraph()
            formatter.write_text(f"TRL's and transformers' settings: {ctx.command_path} --help_trl")

    return TrainingCommand


def _print_upstream(verb: str) -> None:
    for setting in known_settings(verb).values():
        if not setting.is_ours:
            print(f"--{setting.name}  {_about(setting)}")


def _section(formatter: Any, title: str, settings: list[Setting]) -> None:
    with formatter.section(title):
        formatter.write_dl([(f"--{setting.name}", _about(setting)) for setting in settings])


def _about(setting: Setting) -> str:
    """Choices, default and meaning of a setting, each where there is one."""
    choices = "|".join(setting.choices)
    default = f"[default: {setting.default}]" if setting.default else ""
    return "  ".join(part for part in (choices and f"<{choices}>", setting.help, default) if part)
