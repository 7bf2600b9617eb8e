"""Settings of a training command, checked before TRL, torch, a model or rows are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.errors import ConfigError
from sightline.settings.given import Given, read_given
from sightline.settings.known import is_of_installed, known_kinds
from sightline.settings.packages import require_packages
from sightline.settings.places import check_places, require_rows
from sightline.settings.task_names import require_tasks

OUTPUT = "trainer_output"  # transformers' own, where no output_dir is given


def check_early(argv: Sequence[str], *verbs: str, writes: bool = True) -> Mapping[str, Any] | None:
    """The settings where `--config RECIPE --key value ...` can be right; what only the records know is left to them.

    None where they are not known: with other versions of TRL and transformers.

    Args:
        verbs: of sft, dpo and vilt those whose settings are known.
        writes: whether the command will write its output_dir.

    Raises:
        InputError: a name, a value, a place or a package is wrong.
    """
    try:
        given = read_given(argv, known_kinds(*verbs))
    except ConfigError:
        if is_of_installed():
            raise
        return None  # they may know what these do not
    merged: dict[str, Any] = {} if verbs == ("vilt",) else {"output_dir": OUTPUT}
    for part in given:
        merged |= part.settings
    check_places({name: value for name, value in merged.items() if writes or name != "output_dir"})
    _check_mixtures(merged)
    require_tasks(merged.get("eval_tasks") or (), "eval_tasks")
    _check_optim_args(merged.get("optim_args"))
    _check_packages(given, merged)
    return merged


def _check_mixtures(given: Mapping[str, Any]) -> None:
    """The sources of `datasets` and `eval_datasets`, whose other fields their own records check."""
    for name in ("datasets", "eval_datasets"):
        for source in given.get(name) or ():
            path = source.get("path") if isinstance(source, Mapping) else None
            if isinstance(path, str) and "${" not in path and not path.startswith("~"):
                require_rows(path)


def _check_optim_args(given: Any) -> None:
    """What transformers (5.23) splits at commas and equals signs when the optimizer is made."""
    pairs = str(given).replace(" ", "").split(",") if given else []
    if any(pair.count("=") != 1 or pair.startswith("=") for pair in pairs):
        raise ConfigError(f"optim_args: expected key=value, several with commas between them; got {str(given)[:60]!r}.")


def _check_packages(given: Sequence[Given], merged: Mapping[str, Any]) -> None:
    """Each setting that holds in the end, where it was given."""
    for part in given:
        require_packages({name: value for name, value in part.settings.items() if merged[name] == value}, part.where)
