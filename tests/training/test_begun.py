"""The folder of a run belongs to one run from its beginning to its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.errors import RunFolderError
from sightline.launch.processes import Processes
from sightline.runs import RunFolder
from sightline.training.begun import opened_folder
from sightline.training.loop import told_start


def settings(folder: Path, resume: bool = False) -> Any:
    training = SimpleNamespace(resume_from_checkpoint=resume or None, output_dir=str(folder))
    return SimpleNamespace(training=training, given={"seed": 1})


@pytest.mark.parametrize("resume", [False, True])
def test_of_two_commands_that_start_at_one_moment_the_second_begins_nothing(resume: bool, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    if resume:
        folder.begin({}, begun={"seed": 1})
    folder.require_free(resume)  # both looked before either began
    with opened_folder(folder, settings(folder.path, resume), {"seed": 1}, Processes()) as checkpoint:
        assert checkpoint is None
        begun = (folder.path / "begun.json").read_bytes()
        with (
            pytest.raises(RunFolderError, match="another run is at work there"),
            opened_folder(folder, settings(folder.path, resume), {"seed": 2}, Processes()),
        ):
            pass
        assert (folder.path / "begun.json").read_bytes() == begun


@pytest.mark.parametrize(("resumed", "said"), [(False, "the same command starts again."), (True, "goes on again.")])
def test_a_signal_before_training_says_that_nothing_is_lost(
    resumed: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), told_start(resumed):
        raise KeyboardInterrupt
    assert (printed := capsys.readouterr().err).startswith("Ended before training: ") and said in printed
