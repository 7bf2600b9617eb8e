"""Settings as flags of commands: their help with choices, defaults and meanings, and completion by TAB."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer
from typer._click.shell_completion import CompletionItem  # of the one minor version that pyproject.toml allows

from sightline.cli.command import SightlineCommand
from sightline.config import RECIPES, shipped_recipes
from sightline.settings.known import TASKS, Setting, known_settings

UPSTREAM = {"--help_trl", "--help-trl"}
# The settings that most runs set, in the order of the help; where TRL has them, in our words.
MOST_USED = {
    "model_name_or_path": "The model to start from: a folder, or a Hub id such as owner/name. The same as MODEL.",
    "dataset_name": "The rows to train on: a file, a folder or a Hub id. The same as ROWS.",
    "train_data": "",
    "output_dir": "The folder for the model, checkpoints, logs and the report.",
    "learning_rate": "How far a step moves the weights, at its highest.",
    "num_train_epochs": "How many times the rows are trained on.",
    "max_steps": "End after this many steps, whatever num_train_epochs says. -1: no such end.",
    "per_device_train_batch_size": "Rows in one batch, on each device.",
    "gradient_accumulation_steps": "Batches that are added up before the weights move.",
    "max_length": "The longest row, in tokens, with those of its pictures. null: any length.",
    "use_peft": "Train a LoRA adapter instead of the whole model.",
    "bf16": "Compute in bfloat16, which halves the memory of activations.",
    "eval_strategy": "When to evaluate: after each eval_steps, each epoch, or not at all.",
    "save_steps": "Write a checkpoint after this many steps.",
    "resume_from_checkpoint": "Go on with a run that was cut: true for its last checkpoint, or a checkpoint's folder.",
}


class SettingsCommand(SightlineCommand):
    """A command beside whose own options any setting of the training commands `verbs` can stand."""

    verbs: tuple[str, ...] = ()

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """The command's own options, then settings and their values."""
        known = {name: one for verb in self.verbs for name, one in known_settings(verb).items()}
        own = super().shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        names = {item.value for item in own}
        found = complete_setting(known, ctx.args, incomplete)
        return [*own, *(CompletionItem(word, help=about or None) for word, about in found if word not in names)]


class TrainingCommand(SettingsCommand):
    """A command whose help lists the settings of one verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments; `--help_trl` prints and ends."""
        if not ctx.resilient_parsing and not UPSTREAM.isdisjoint(args):
            _print_upstream(ctx, self.verbs[0])
            raise typer.Exit
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[RECIPE.yaml]", "[MODEL]", "[ROWS]", "[--key value]..."]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Typer's options, the settings that most runs set, our own ones, and where the others are."""
        super().format_options(ctx, formatter)
        known = known_settings(self.verbs[0])
        used = [known[name] for name in MOST_USED if name in known]
        formatter.write_paragraph()
        formatter.write_text("A setting is written --key value, or `key: value` in a recipe.")
        _section(formatter, "Most used settings", used)
        own = [one for one in known.values() if one.is_ours and one.name not in MOST_USED]
        _section(formatter, "Sightline's own settings", own)
        formatter.write_paragraph()
        formatter.write_text(f"All settings of {_upstream(self.verbs[0])}: {ctx.command_path} --help_trl")


def settings_command(*verbs: str, trains: bool = False) -> type[SettingsCommand]:
    """The class of a command that takes the settings of these of `sft`, `dpo` and `vilt`."""
    return type("SettingsCommand", (TrainingCommand if trains else SettingsCommand,), {"verbs": verbs})


def _upstream(verb: str) -> str:
    return "transformers" if verb == "vilt" else "TRL and transformers"


def _print_upstream(ctx: Any, verb: str) -> None:
    """Settings that are not ours: laid out on a terminal; else one a line, to be searched."""
    settings = [one for one in known_settings(verb).values() if not one.is_ours]
    if not sys.stdout.isatty():
        for one in settings:
            print(f"--{one.name}  {_about(one, one.help)}")
        return
    formatter = ctx.make_formatter()
    formatter.write_dl([(f"--{one.name}", _about(one, one.help)) for one in settings])
    print(formatter.getvalue(), end="")


def _section(formatter: Any, title: str, settings: Iterable[Setting]) -> None:
    with formatter.section(title):
        formatter.write_dl([(f"--{one.name}", _about(one, _meaning(one))) for one in settings])


def _meaning(setting: Setting) -> str:
    return setting.help if setting.is_ours else MOST_USED.get(setting.name) or setting.help


def _about(setting: Setting, meaning: str) -> str:
    """Choices, meaning and default of a setting, each where there is one."""
    choices = "|".join(setting.choices)
    default = f"[default: {_typed(setting.default)}]" if setting.default not in ("", "[]", "{}") else ""
    return "  ".join(part for part in (choices and f"<{choices}>", meaning.replace("%%", "%"), default) if part)


def _typed(default: str) -> str:
    """A default as it is typed."""
    words = {"True": "true", "False": "false"}
    is_words = default.startswith("['")
    return default.strip("[]").replace("'", "").replace(",", "") if is_words else words.get(default, default)


SWITCH = ("true", "false")
PRESETS = ("nano",)  # as models/presets.py has them, which is slow to import
LOSSES = ("mpo", "mdpo", "mdpo_conditional", "mdpo_anchor")  # of training/losses.py, beside TRL's
_OWN = {"preset": PRESETS, "loss_type": LOSSES}
_TOLD = re.compile(r"Possible values are: ((?:`'?\w+'?`(?: \(default\))?,? ?)+)")  # as TRL's help names them
SHORT = 60


def complete_tasks(incomplete: str) -> list[str]:
    """Tasks whose names go on so, after those that stand there with commas."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in TASKS if name.startswith(last)]


def complete_recipes(incomplete: str) -> list[str]:
    """Recipes whose paths go on so: those that lie here or a folder below, and those that ship with Sightline."""
    start = glob.escape(incomplete)
    found = [path for kind in RECIPES for shape in ("*", "*/*") for path in glob.glob(f"{start}{shape}{kind}")]
    shipped = [f"recipes/{name}" for name in shipped_recipes()]
    return sorted({*found, *(name for name in shipped if name.startswith(incomplete))})


def one_of(*values: str) -> Callable[[str], list[str]]:
    """A completer of these values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def complete_setting(known: Mapping[str, Setting], before: Sequence[str], incomplete: str) -> list[tuple[str, str]]:
    """(word, meaning) of what can stand after `before`: settings' names, or the last one's values; none for a path."""
    words = [word for word in before if word != "="]
    if incomplete.startswith("-"):
        names = {f"--{name}": _short(setting.help) for name, setting in known.items()} | {"--config": "Recipe."}
        return [(name, meaning) for name, meaning in names.items() if name.startswith(incomplete)]
    place = next((place for place in reversed(range(len(words))) if words[place].startswith("--")), len(words))
    name = words[place].removeprefix("--").replace("-", "_") if place < len(words) else ""
    if place < len(words) - 1 and (name not in known or "list[" not in str(known[name].kind)):
        return []  # the setting has its value
    return [(value, "") for value in _values(name, known.get(name), incomplete)]


def _short(meaning: str) -> str:
    """The first sentence, in a line of a menu; brackets would be markup to Typer."""
    first = meaning.replace("[", "(").replace("]", ")").split(". ")[0].split(": ")[0].rstrip(".")
    return first if len(first) <= SHORT else f"{first[: SHORT - 3].rsplit(' ', 1)[0]}..."


def _values(name: str, setting: Setting | None, incomplete: str) -> list[str]:
    if name == "config":
        return complete_recipes(incomplete)
    if name == "eval_tasks":
        return complete_tasks(incomplete)
    if setting is None:
        return []
    told = re.findall(r"\w+", found[1].replace("(default)", "")) if (found := _TOLD.search(setting.help)) else []
    values = setting.choices or (*told, *_OWN.get(name, ()))
    if not values and (setting.default in ("True", "False") or setting.kind is bool):
        values = SWITCH
    return [value for value in values if value.startswith(incomplete)]
