"""The table of commands, each a light module of this folder, and the Typer application made of it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import typer

from sightline import __version__
from sightline.cli.command import SightlineCommand, group_of
from sightline.cli.settings_help import settings_command
from sightline.cli.streams import require_output
from sightline.config import PLACES, placed
from sightline.launch.processes import joined_processes
from sightline.settings.known import require_tasks
from sightline.settings.places import check_places

# What people type for a verb, by the command that does it here.
MEANT = {
    "sft": "train finetune fine-tune fine_tune tune instruct lora",
    "dpo": "align prefer preference mpo mdpo rlhf",
    "eval": "evaluate evaluation test bench benchmark run",
    "score": "rescore",
    "ask": "chat infer inference generate predict answer caption",
    "compare": "diff",
    "tasks": "task benchmarks",
    "doctor": "info version env check-env diagnose",
    "cache clear": "clean clear purge",
    "data check": "validate inspect lint",
    "data preview": "view look",
    "data synthesize": "generate-data synthesise",
    "vilt pretrain": "pretraining",
}


@dataclass(frozen=True)
class Verb:
    """A command: `<name>_command` in the light module `cli/<file>.py`, by default that of its name, its line in the
    list, whether it takes flags beyond its own, whether several processes may share its run, whether its result `lies`
    in a folder or file, so that stdout is no loss, and whether it trains. A verb with `verbs` is a group whose module
    holds their commands; of them `by_itself` acts where none is named."""

    name: str
    summary: str
    takes_any_flag: bool = False
    is_shared: bool = False
    lies: bool = False
    trains: bool = False
    verbs: tuple[Verb, ...] = ()
    by_itself: str = ""
    file: str = ""

    def load(self, group: str = "") -> Callable[..., Any]:
        module = importlib.import_module(f"sightline.cli.{self.file or group or self.name}")
        command: Callable[..., Any] = getattr(module, f"{self.name}_command")

        @functools.wraps(command)  # whose signature Typer reads
        def run_placed(**given: Any) -> Any:
            """The command with `~` and variables of its paths expanded, as flags and recipes of training have them."""
            # In the order of the signature, so that of several mistakes the same one is told each time.
            places = {name: placed(value, f"command line: {name}") for name, value in given.items() if name in PLACES}
            try:
                with joined_processes() if self.is_shared else nullcontext():
                    check_places(places, asks_server=bool(given.get("endpoint") or given.get("predictions")))
                    require_tasks([given.get("tasks") or ""])
                    result = command(**{**given, **places})
            except typer.Exit:  # something was found, and printed
                self._require_output()
                raise
            self._require_output()
            return result

        return run_placed

    def _require_output(self) -> None:
        if not self.lies:
            require_output()

    def add_to(self, app: typer.Typer, group: str = "") -> None:
        """Adds the command, or the group with all of its commands, to the application."""
        if self.verbs:
            module = importlib.import_module(f"sightline.cli.{self.name}")
            meant = getattr(module, "meant_by", None)
            inner = _new_app(name=self.name, help=module.__doc__, cls=group_of(self.by_itself, meant))
            for verb in self.verbs:
                verb.add_to(inner, group=self.name)
            app.add_typer(inner, short_help=self.summary)
            return
        settings = {"allow_extra_args": True, "ignore_unknown_options": True} if self.takes_any_flag else {}
        add = app.command(self.name, cls=self._kind(group), short_help=self.summary, context_settings=settings)
        add(self.load(group))

    def _kind(self, group: str) -> type[SightlineCommand]:
        if self.trains:
            return settings_command(group or self.name, trains=True)
        return settings_command("sft", "dpo") if self.takes_any_flag else SightlineCommand


def _training(name: str, summary: str, file: str) -> Verb:
    """A verb that trains: it takes any flag, in several processes, and leaves a folder."""
    return Verb(name, summary, takes_any_flag=True, is_shared=True, lies=True, trains=True, file=file)


VERBS = (
    Verb("demo", "Build, train, evaluate, align and compare a small VLM, offline.", lies=True),
    Verb("build", "Build a new VLM: from a preset, or tower, projector, decoder.", lies=True),
    Verb("merge", "Merge an adapter into its base: an ordinary model folder.", lies=True, file="build"),
    Verb("ask", "Ask a model one question about a picture."),
    _training("sft", "Fine-tune on demonstrations; takes every flag of trl sft.", "training"),
    _training("dpo", "Align with preference pairs; takes every flag of trl dpo.", "training"),
    Verb("eval", "Score a model on benchmarks or your own rows.", is_shared=True),
    Verb("score", "Score the answers of a run again, by other rules.", file="eval"),
    Verb("compare", "Compare two runs item by item, with tests."),
    Verb(
        "tasks",
        "List the benchmarks: sources, prompts, scoring rules.",
        verbs=(
            Verb("list", "List each benchmark with its rows and title."),
            Verb("show", "Show a benchmark: rows, prompts, profiles, licence."),
        ),
        by_itself="list",
    ),
    Verb(
        "data",
        "Check, preview, convert and write training data.",
        verbs=(
            Verb("check", "Check what is in a dataset, and what is wrong with it."),
            Verb("preview", "Show what the model will see of your rows.", takes_any_flag=True),
            Verb("convert", "Convert rows to another format.", lies=True),
            Verb("synthesize", "Write rows with a model: conversations, preferences, ...", lies=True),
        ),
    ),
    Verb(
        "models",
        "Convert checkpoints in the layout of their authors.",
        verbs=(Verb("convert", "Write one as safetensors in the layout of its class.", lies=True),),
    ),
    Verb("doctor", "Check the installation, or a recipe before it costs GPU time.", takes_any_flag=True),
    Verb(
        "cache",
        "List, verify or clear what is stored between runs.",
        verbs=(
            Verb("list", "List what is stored, how much, and when it was last used."),
            Verb("verify", "Read every file, and remove damaged ones."),
            Verb("clear", "Remove all, or one kind."),
        ),
        by_itself="list",
    ),
    Verb(
        "vilt",
        "Pretrain, fine-tune, evaluate and use ViLT.",
        verbs=(
            _training("pretrain", "Learn matching and masked words from captions.", "vilt"),
            _training("vqa", "Learn to answer questions.", "vilt"),
            _training("retrieval", "Learn to rank captions of pictures.", "vilt"),
            _training("nlvr2", "Learn to judge sentences about one picture or two.", "vilt"),
            Verb("evaluate", "Score a trained ViLT, with intervals."),
            Verb("search", "Rank the pictures of a folder by a text."),
            Verb("caption", "Choose captions for a picture from candidates."),
            Verb("align", "Draw where the words of a sentence are in a picture."),
        ),
    ),
)


def build_app() -> typer.Typer:
    """The application with every verb of the table."""
    app = _new_app(
        name="sightline",
        help="Post-train and evaluate vision-language models, computing once whatever a batch shares.",
        epilog="stdout carries data, stderr progress. Exit codes: 0, 1 (failed), 2 (bad usage or input), 128 + signal.",
        pretty_exceptions_enable=False,
        cls=group_of(meant=meant_by),
        add_completion=True,
    )
    app.callback()(_options)
    for verb in VERBS:
        verb.add_to(app)
    return app


def _new_app(add_completion: bool = False, **settings: Any) -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        add_completion=add_completion,
        rich_markup_mode=None,  # importing rich's Markdown for a help text takes longer than all the rest (0.15 s)
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def meant_by(word: str) -> str:
    """What to write for a word that is no verb: another tool's name of one, or a command of a group; '' if unknown."""
    inner = next((f"{verb.name} {one.name}" for verb in VERBS for one in verb.verbs if one.name == word), "")
    meant = next((verb for verb, words in MEANT.items() if word.lower() in words.split()), inner)
    return f"It is `sightline {meant}` here." if meant else ""


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sightline {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_show_version, help="Show the version."),
) -> None:
    """Options of `sightline` itself; each acts in its callback."""
