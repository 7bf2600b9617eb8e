"""What the Hub refuses before training, and a push that fails after it: the model stays, and a line says what to do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pytest
from PIL import Image
from transformers.utils.hub import hf_api

from sightline.cli.main import run
from sightline.errors import ConfigError, MachineError
from sightline.runs import RunFolder
from sightline.training import pushing
from sightline.training.pushing import push_model, require_write_token, told_refusals
from tests.cli.test_training import command, write_rows
from tests.cli.test_vilt import SMALL
from tests.hub import Hub
from tests.tiny import tiny_folder, vqa_rows

TOKEN = "a-token-that-opens-doors"


def set_state(hub: Hub, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the Hub refuse by a status, cut connections, be where nobody listens, or be left alone."""
    if state.isdigit():
        hub.status = int(state)
    elif state == "cut":
        hub.cuts = True
    else:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's client tries again at once, where it would wait 23 seconds in all."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    """What pushing asks a trainer for."""
    args = SimpleNamespace(push_to_hub=True, hub_token=TOKEN, hub_revision=None, hub_private_repo=None)
    handler = SimpleNamespace(on_push_begin=lambda *given: None)
    return SimpleNamespace(
        **{"args": args, "state": None, "control": None, "callback_handler": handler, "hub_model_id": "someone/tiny"},
        is_world_process_zero=lambda: True,
        _finish_current_push=lambda: None,
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "my run").mkdir()
    for name in ("model.safetensors", ".lock", "checkpoint-2/model.safetensors"):
        (tmp_path / "my run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "my run" / name).write_text("content")
    return RunFolder(tmp_path / "my run")


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        (
            "401",
            ConfigError,
            r"the Hub refuses someone/tiny \(.*401.*by --hub_token or HF_TOKEN, or leave push_to_hub out",
        ),
        ("403", ConfigError, r"the Hub refuses someone/tiny \(.*403"),
        ("500", MachineError, r"the Hub fails \(.*500.*Try again, or leave"),
        ("cut", MachineError, r"the Hub cannot be reached \(.*Mend the network, or leave"),
        ("offline", MachineError, r"the Hub cannot be reached \(.*HF_HUB_OFFLINE"),
    ],
)
def test_what_the_hub_refuses_before_training_is_one_line(
    state: str, kind: type[Exception], said: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_state(hub, state, monkeypatch)
    with pytest.raises(kind, match=said) as refused, told_refusals("someone/tiny"):
        hf_api().create_repo("someone/tiny", token=TOKEN, exist_ok=True)
    assert "\n" not in str(refused.value)


def test_a_name_that_no_repository_can_have_is_told() -> None:
    with pytest.raises(ConfigError, match="hub_model_id a b: Repo id must"), told_refusals("a b"):
        hf_api().repo_info("a b")


def test_a_token_that_only_reads_is_told_before_training(hub: Hub) -> None:
    require_write_token(TOKEN)
    hub.status = 500  # what the Hub does not tell is no reason to end
    require_write_token(TOKEN)
    hub.status, hub.role = 200, "read"
    with pytest.raises(ConfigError, match="expected one that may write, got one that reads alone"):
        require_write_token(TOKEN)


def test_the_model_is_pushed_without_checkpoints_and_hidden_files(trainer: Any, folder: RunFolder, hub: Hub) -> None:
    push_model(trainer, folder)
    assert hub.files == {"model.safetensors": b"content"}


@pytest.mark.parametrize("state", ["401", "500", "cut", "offline"])
def test_a_push_that_fails_keeps_the_model_and_gives_the_command_to_push_it_later(
    state: str, trainer: Any, folder: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_state(hub, state, monkeypatch)
    trainer.args.hub_revision = "dev"
    with pytest.raises(MachineError, match="The model is in .*my run, and was not pushed: ") as failed:
        push_model(trainer, folder)
    assert "\n" not in str(failed.value) and (folder.path / "model.safetensors").is_file()
    given = shlex.split(str(failed.value).split("Push it later: ")[1])
    assert given[:5] == ["hf", "upload", "someone/tiny", str(folder.path), "."] and given[-2:] == ["--revision", "dev"]
    assert {given[place + 1] for place, part in enumerate(given) if part == "--exclude"} == {"_*", ".*", "checkpoint-*"}


def test_a_push_that_is_interrupted_says_how_to_push_later(
    trainer: Any, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_finish_current_push", interrupted)
    with pytest.raises(KeyboardInterrupt):
        push_model(trainer, folder)
    assert "was not pushed. Push it later: hf upload someone/tiny" in capsys.readouterr().err


def test_pushes_of_checkpoints_that_failed_are_counted(
    trainer: Any, folder: RunFolder, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [SimpleNamespace(exception=lambda found=found: found) for found in (None, OSError("no route"))]
    trainer.push_in_progress = SimpleNamespace(jobs=jobs)
    push_model(trainer, folder)
    assert capsys.readouterr().err == "1 of 2 pushes of checkpoints failed; the first: no route\n"


def arguments(verb: str, folder: Path) -> list[str]:
    pushing_to = ["--push_to_hub", "true", "--hub_model_id", "someone/tiny", "--hub_token", TOKEN]
    if verb == "sft":
        tiny_folder(folder / "model", 1)
        data = write_rows(folder, vqa_rows(4, 2))
        return [*command("sft", folder / "model", data, folder / "run", "--max_steps", "1"), *pushing_to]
    Image.new("RGB", (40, 32), "red").save(folder / "red.png")
    Image.new("RGB", (40, 32), "blue").save(folder / "blue.png")
    rows = [{"image": f"{colour}.png", "captions": [f"a {colour} picture"]} for colour in ("red", "blue")]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--train_data", str(folder / "captions.jsonl"), "--output_dir", str(folder / "run"), "--max_steps", "1"]
    return ["vilt", "pretrain", *given, *SMALL, *pushing_to]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sft", "vilt"])
def test_a_run_whose_push_fails_ends_with_one_line_and_its_model(
    verb: str,
    tmp_path: Path,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usual = pushing._say_lost_pushes

    def fail_from_here(trainer: Any) -> None:
        usual(trainer)
        hub.status = 500

    monkeypatch.setattr(pushing, "_say_lost_pushes", fail_from_here)
    assert run(arguments(verb, tmp_path)) == 1
    printed = capsys.readouterr().err
    assert printed.count("error: The model is in") == 1 and "Traceback" not in printed and TOKEN not in printed
    assert {"model.safetensors", "README.md"} <= {path.name for path in (tmp_path / "run").iterdir()}
    hub.status = 401
    (tmp_path / "again").mkdir()
    assert run(arguments(verb, tmp_path / "again")) == 2
    assert "push_to_hub: the Hub refuses" in capsys.readouterr().err
    assert not (tmp_path / "again" / "run").exists()
