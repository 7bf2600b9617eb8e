"""The shape of the code: layers, sentences, sizes, names, and a command that starts without torch."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.layers import ROWS
from tests.project_tree import OVERVIEW, ROOT, SOURCE, TREE, render_tree, replace_folders, sentence, source_files

HEIGHT = {name: len(ROWS) - row for row, names in enumerate(ROWS) for name in names}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "tools", "stuff"}
HEAVY = ("torch", "torchvision", "transformers", "trl", "peft", "datasets", "pandas", "matplotlib", "scipy")

every_file = pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(SOURCE)))


def layer_of(path: Path) -> str:
    """The layer a file belongs to: the first part of its path below the package; empty for the package itself."""
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def imported_layers(path: Path) -> Iterator[tuple[int, str]]:
    """(line, layer) of each import of the package in a file, wherever it stands; relative imports are resolved."""
    package = ("sightline", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "sightline" and parts[1:] != ["__version__"]:
                yield node.lineno, parts[1] if len(parts) > 1 else ""


def violations(path: Path) -> list[str]:
    """What in a file imports upwards, sideways, or from a layer that does not exist."""
    own, found = layer_of(path), []
    for line, layer in imported_layers(path):
        if layer not in HEIGHT:
            found.append(f"line {line} imports {layer or 'the package itself'!r}, which is no layer")
        elif own and layer != own and HEIGHT[layer] >= HEIGHT[own]:
            found.append(f"line {line}: {own} imports {layer}, which does not lie below it")
    return found


@every_file
def test_imports_point_down(path):
    assert layer_of(path) == "" or layer_of(path) in HEIGHT, "a new layer: give it a row in ROWS"
    assert violations(path) == []


@pytest.mark.parametrize(
    ("file", "code", "wrong"),
    [
        ("data/sources/datasets.py", "def f():\n    from sightline.engine import forest", "data imports engine"),
        ("engine/forest.py", "import sightline.models.load", "engine imports models"),
        ("stats/paired.py", "from sightline import runs, cli", "stats imports cli"),
        ("data/a.py", "from ..training.sft import SFTTrainer", "data imports training"),
        ("data/a.py", "if TYPE_CHECKING:\n    from sightline import SFTTrainer", "'SFTTrainer', which is no layer"),
        ("cli/sft.py", "from sightline import __version__\nfrom sightline.engine.forest import Forest", ""),
        ("data/a.py", "from . import images\nfrom .images import read\nfrom sightline.errors import DataError", ""),
    ],
)
def test_the_rule_of_layers_finds_imports_that_point_up_or_sideways(file, code, wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(code)
    found = violations(path)
    assert len(found) == bool(wrong) and wrong in "".join(found)


def imported_files() -> dict[Path, set[Path]]:
    """The files of the package that each of its files imports or names for its types, not inside functions.

    The package's own face names what it gives away for type checkers alone, and imports it when it is asked for."""
    files = {".".join(("sightline", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in source_files()}
    files |= {name.removesuffix(".__init__"): path for name, path in files.items() if name.endswith(".__init__")}
    found: dict[Path, set[Path]] = {}
    for path in source_files():
        names: list[str] = []
        for node in outside_functions(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = (f"{node.module}.{alias.name}" for alias in node.names)
                names += [name if name in files else node.module for name in inner]
        found[path] = {files[name] for name in names if name in files} - {path}
    return found | {SOURCE / "__init__.py": set()}


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes outside functions, those for type checkers among them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield child
        yield from outside_functions(child)


def floors(arrows: dict[Path, set[Path]], folder: str) -> int:
    """How many files of a folder stand on one another at most; CycleError where they go in a circle."""
    inside = {path for path in arrows if path.is_relative_to(SOURCE / folder)}
    order = TopologicalSorter({path: arrows[path] & inside for path in inside})
    floor: dict[Path, int] = {}
    for path in order.static_order():
        floor[path] = 1 + max((floor[below] for below in arrows[path] & inside), default=0)
    return max(floor.values())


def test_no_files_import_each_other_in_a_circle():
    assert floors(imported_files(), ".") > 0


def test_a_circle_of_files_is_found():
    one, two = SOURCE / "one.py", SOURCE / "two.py"
    with pytest.raises(CycleError):
        floors({one: {two}, two: {one}}, ".")


def changes_of_trainers(code: str) -> list[str]:
    """What a file does to a trainer that stands in a name or an attribute: its arguments without a type, and what it
    writes into one."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.arg) and node.arg == "trainer":
            typed = ast.unparse(node.annotation) if node.annotation else "nothing"
            found += [f"line {node.lineno}: trainer is {typed}"] if typed in ("Any", "nothing", "object") else []
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
            found += [f"line {node.lineno}: {ast.unparse(one)} is written" for one in targets if _in_trainer(one)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            held = ast.unparse(node.args[0]).split(".")[-1]
            found += [f"line {node.lineno}: setattr on {held}"] if held in ("trainer", "_trainer") else []
    return found


def _in_trainer(target: ast.AST | None) -> bool:
    """Whether a target of an assignment lies in a trainer: `trainer.args.seed`, `self._trainer.state[0]`."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
        if getattr(target, "id", getattr(target, "attr", "")) in ("trainer", "_trainer"):
            return True
    return False


@every_file
def test_a_trainer_has_a_type_and_is_changed_in_its_own_file_alone(path):
    assert changes_of_trainers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("def f(trainer: Any): pass", "trainer is Any"),
        ("def f(trainer): pass", "trainer is nothing"),
        ("trainer.ref_model = None", "trainer.ref_model is written"),
        ("self._trainer.args.seed += 1", "self._trainer.args.seed is written"),
        ("run.trainer._metrics['train'] = {}", "run.trainer._metrics['train'] is written"),
        ("setattr(trainer, name, 1)", "setattr on trainer"),
        ("def f(trainer: ForestTrainer):\n    self._trainer = trainer\n    seed = trainer.args.seed", ""),
    ],
)
def test_the_rule_of_trainers_finds_what_changes_one(code, wrong):
    found = changes_of_trainers(code)
    assert len(found) == bool(wrong) and wrong in "".join(found)


def test_files_of_the_evaluation_stand_on_few_floors():
    assert floors(imported_files(), "evaluation") <= 9


@every_file
def test_each_file_opens_with_one_sentence(path):
    first = sentence(path)
    assert re.fullmatch(r"\S.{10,}\.", first), f"{path.name} must open with a sentence, got {first!r}"
    assert path.read_text(encoding="utf-8").startswith('"""')


@every_file
def test_files_and_functions_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: size for node in functions if (size := (node.end_lineno or 0) - node.lineno + 1) > 60}
    assert long == {}


@every_file
def test_names_say_what_a_file_holds(path):
    assert not VAGUE_NAMES & {part.removesuffix(".py") for part in path.relative_to(SOURCE).parts}


def test_tree_md_shows_each_file_with_its_sentence():
    assert TREE.read_text(encoding="utf-8") == render_tree(), "run `make docs`"


def test_architecture_md_shows_each_folder_with_its_sentence_on_one_page():
    document = OVERVIEW.read_text(encoding="utf-8")
    assert document == replace_folders(document), "run `make docs`"
    assert document.count("\n") < 90


def modules_after(code: str) -> set[str]:
    """Top-level names of the modules that are loaded after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy():
    loaded = modules_after("from sightline.cli.main import run; assert run(['--help']) == 0")
    assert loaded.isdisjoint({*HEAVY, "numpy", "rich"})


@pytest.mark.parametrize("module", ["sightline", "sightline.config", "sightline.runs", "sightline.types"])
def test_light_modules_load_nothing_heavy(module):
    assert modules_after(f"import {module}").isdisjoint(HEAVY)


def test_texts_are_read_and_written_in_an_encoding_that_is_named():
    rule = [sys.executable, "-m", "ruff", "check", "--isolated", "--preview", "--select", "PLW1514", "--no-cache"]
    found = subprocess.run([*rule, str(SOURCE), str(ROOT / "benchmarks")], capture_output=True, encoding="utf-8")
    assert found.returncode == 0, found.stdout
