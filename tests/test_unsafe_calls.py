"""Calls that may run what others wrote stand at one place each: loading by name, pickles, YAML, code in texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.project_tree import SOURCE, source_files

# The last parts of a call, and the files in which it may stand.
PLACES = {
    "from_pretrained": ("models/guarded.py", "models/adapters.py"),
    "from_config": ("models/parts.py", "models/stored_weights.py"),
    "load_dataset": ("data/sources/datasets.py", "evaluation/sources.py", "training/rows.py"),
    "pipeline": (),
    "torch.load": ("models/published/folder.py",),
    "pickle.load": (),
    "pickle.loads": (),
    "joblib.load": (),
    "read_pickle": (),
    "np.load": (),
    "yaml.load": ("config.py", "values.py"),
    "yaml.unsafe_load": (),
    "yaml.full_load": (),
    "eval": (),
    "exec": (),
    "import_module": ("__init__.py", "cli/verbs.py", "evaluation/tasks/registry.py", "inspection/environment.py"),
    "get_class_from_dynamic_module": (),
}
# Calls of functions that take `trust_remote_code`, which must say False.
SAYS_NO = ("from_config",)


def calls(code: str) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) of each call: `torch.load` for one of an attribute, `eval` for one of a name."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node.func.id, node
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            yield f"{owner}.{node.func.attr}", node


def unsafe(code: str, file: str) -> list[str]:
    """Unsafe calls in the code of a file that may not stand there."""
    found = []
    for name, call in calls(code):
        for pattern, files in PLACES.items():
            is_meant = name == pattern or ("." not in pattern and name.endswith(f".{pattern}") and name != "model.eval")
            if pattern in ("eval", "exec"):
                is_meant = name == pattern
            if is_meant and file not in files:
                found.append(f"line {call.lineno}: {name}")
        trusts = [word.value for word in call.keywords if word.arg in ("trust_remote_code", "allow_pickle")]
        pickled = [word.value for word in call.keywords if word.arg == "weights_only"]
        if any(not (isinstance(value, ast.Constant) and value.value is False) for value in trusts):
            found.append(f"line {call.lineno}: {name} trusts")
        if any(not (isinstance(value, ast.Constant) and value.value is True) for value in pickled):
            found.append(f"line {call.lineno}: {name} unpickles")
        if name.rpartition(".")[2] in SAYS_NO and not trusts:
            found.append(f"line {call.lineno}: {name} does not say trust_remote_code=False")
    return found


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_may_run_code_of_others_stands_at_its_one_place(path):
    assert unsafe(path.read_text(encoding="utf-8"), path.relative_to(SOURCE).as_posix()) == []


@pytest.mark.parametrize(
    "code",
    [
        "AutoModel.from_pretrained(name)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "type(model).from_pretrained(name)",
        "AutoModel.from_config(config)",
        "datasets.load_dataset(name)",
        "transformers.pipeline('vqa')",
        "torch.load(file)",
        "torch.load(file, weights_only=True)",
        "np.load(file, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "eval(text)",
        "f(name, trust_remote_code=trusted)",
        "f(name, weights_only=False)",
    ],
)
def test_the_rule_finds_unsafe_calls(code):
    assert unsafe(code, "evaluation/run.py")


@pytest.mark.parametrize("code", ["model.eval()", "yaml.safe_load(text)", "json.loads(text)", "self._load(name)"])
def test_the_rule_lets_safe_calls_pass(code):
    assert unsafe(code, "evaluation/run.py") == []
