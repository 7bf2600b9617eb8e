"""A token planted in every way in: no byte of what a verb writes, prints or pushes holds it, and it is used."""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from PIL import Image

from sightline.cli.main import run
from sightline.cli.streams import safe_output
from sightline.data.pictures import fetched
from sightline.secrets import HIDDEN
from sightline.training.dpo import DPOConfig, DPOTrainer
from sightline.training.sft import SFTConfig, SFTTrainer
from sightline.training.vilt.settings import ViltTrainingArguments
from tests.cli.test_training import command, write_rows
from tests.cli.test_vilt import SMALL
from tests.endpoint import Server, completion
from tests.hub import Hub
from tests.tiny import preference_rows, tiny_llava, tiny_processor, vqa_rows

PLANTED = "PlantedToken0123456789"  # part of every token below
IN_FLAG, IN_RECIPE, IN_VARIABLE = f"flag-{PLANTED}", f"recipe-{PLANTED}", f"variable-{PLANTED}"
BASIC = base64.b64encode(f"me:{IN_FLAG}".encode()).decode()
LEAVES = tuple(text.encode() for text in (PLANTED, BASIC))


@pytest.fixture
def clean(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Refuses the planted token in every file below the test's folder, the cache among them, and in all output."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sightline.secrets._known", set())  # what other tests made known would hide a leak here
    given: set[Path] = set()

    def check(*own: Path) -> str:
        given.update(own)
        printed = capfd.readouterr()
        assert not any(leaf in text.encode() for text in (printed.out, printed.err) for leaf in LEAVES), printed
        leaking = [
            f"{path.relative_to(tmp_path)} {name}"
            for path in sorted(tmp_path.rglob("*"))
            if path.is_file() and path not in given
            for name, content in {"": path.read_bytes(), **inside(path)}.items()
            if any(leaf in content or leaf.decode() in path.name for leaf in LEAVES)
        ]
        assert leaking == []
        return printed.out + printed.err

    return check


def inside(path: Path) -> dict[str, bytes]:
    """The files in an archive, unpacked; torch's files are such ones."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pushed_clean(hub: Hub, token: str) -> None:
    """The token opened the Hub's doors, and nothing that was pushed holds it."""
    assert hub.files and all(request.authorization == f"Bearer {token}" for request in hub.requests)
    for name, content in hub.files.items():
        parts = [content]
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                parts += [archive.read(one) for one in archive.namelist()]
        assert not any(leaf in part for part in parts for leaf in LEAVES), name


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "rows"), [("sft", vqa_rows(8, 4)), ("dpo", preference_rows(8, 4))])
def test_a_hub_token_is_used_and_stands_nowhere(verb, rows, model_folder, tmp_path, hub, clean) -> None:
    output = tmp_path / "run"
    given = command(verb, model_folder, write_rows(tmp_path, rows), output, "--max_steps", "2", "--save_steps", "1")
    pushing = ["--push_to_hub", "true", "--hub_model_id", "someone/tiny", "--hub_strategy", "all_checkpoints"]
    kwargs = ["--model_init_kwargs", f"{{token: kwargs-{PLANTED}}}"]
    assert run([*given, *pushing, *kwargs, f"--hub-token={IN_FLAG}"]) == 0
    pushed_clean(hub, IN_FLAG)
    assert {"training_args.bin", "checkpoint-1/training_args.bin", "config.yaml"} <= hub.files.keys()
    clean()
    assert f"hub_token: {HIDDEN}" in (output / "config.yaml").read_text()
    assert torch.load(output / "training_args.bin", weights_only=False).hub_token == HIDDEN
    again = [*given, *pushing, "--max_steps", "3", "--resume_from_checkpoint", "true", "--hub_token", f"new-{PLANTED}"]
    hub.requests.clear()
    assert run(again) == 0
    pushed_clean(hub, f"new-{PLANTED}")
    clean()


def test_a_hub_that_refuses_a_token_is_not_quoted_with_it(model_folder, tmp_path, hub, clean) -> None:
    hub.status = 403
    given = command("sft", model_folder, write_rows(tmp_path, vqa_rows(4, 2)), tmp_path / "run")
    assert run([*given, "--push_to_hub", "true", "--hub_model_id", "someone/tiny", "--hub_token", IN_FLAG]) == 2
    assert hub.requests and "403" in clean() and not (tmp_path / "run").exists()


def test_a_recipe_and_the_record_of_its_run_are_repeated_by_giving_the_token_again(
    model_folder, tmp_path, clean, monkeypatch
) -> None:
    from sightline.training.arguments import read_settings

    monkeypatch.setenv("MY_OWN_NAME", IN_VARIABLE)
    data, output = write_rows(tmp_path, vqa_rows(8, 4)), tmp_path / "run"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"env: {{WANDB_API_KEY: {IN_RECIPE}}}\nhub_token: ${{MY_OWN_NAME}}\n"
        f"model_init_kwargs: {{token: in-{PLANTED}}}\nmax_steps: 1\nsave_strategy: 'no'\n"
    )
    monkeypatch.setenv("WANDB_API_KEY", "")
    assert run([*command("sft", model_folder, data, output)[:7], "--config", str(recipe), "--bf16", "false"]) == 0
    clean(recipe)
    recorded = str(output / "config.yaml")
    assert read_settings(["--config", recorded], SFTConfig).training.hub_token is None
    told = clean(recipe)
    assert "hub_token: saved arguments hide what they were" in told
    assert f"model_init_kwargs.token: {HIDDEN} stands where a secret was not" in told
    assert read_settings(["--config", recorded, "--hub_token", IN_FLAG], SFTConfig).training.hub_token == IN_FLAG


@pytest.mark.parametrize("task", ["pretrain", "vqa"])
def test_vilt_uses_a_hub_token_and_writes_none(task, tmp_path, hub, clean) -> None:
    rows = []
    for name in ("red", "blue"):
        Image.new("RGB", (32, 32), name).save(tmp_path / f"{name}.png")
        rows.append({"image": f"{name}.png", "caption": f"it is {name}", "question": "what color", "answer": name})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 4))
    given = ["--train_data", str(tmp_path / "rows.jsonl"), "--output_dir", str(tmp_path / "run"), "--max_steps", "2"]
    pushing = ["--push_to_hub", "true", "--hub_model_id", "someone/tiny", "--hub_token", IN_FLAG]
    assert run(["vilt", task, *given, *SMALL, *pushing, "--save_strategy", "steps", "--save_steps", "1"]) == 0
    pushed_clean(hub, IN_FLAG)
    clean()
    assert f"| hub_token | {HIDDEN} |" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize("config", [SFTConfig, trl.SFTConfig, DPOConfig, trl.DPOConfig])
def test_arguments_made_in_python_are_saved_without_secrets_and_keep_them(config, tmp_path, clean) -> None:
    model, processor = tiny_llava(1), tiny_processor()
    args = config(
        str(tmp_path / "run"), max_length=None, max_steps=1, report_to="none", bf16=False, save_strategy="steps",
        save_steps=1, hub_token=IN_FLAG, gradient_checkpointing=False, use_cpu=True,
    )  # fmt: skip
    is_sft = issubclass(config, trl.SFTConfig)
    kind, rows = (SFTTrainer, vqa_rows(4, 2)) if is_sft else (DPOTrainer, preference_rows(4, 2))
    trainer = kind(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=processor)
    trainer.args.model_init_kwargs = {"token": f"late-{PLANTED}"}
    trainer.train()
    trainer.save_model()
    trainer.create_model_card()
    clean()
    assert args.hub_token == IN_FLAG and args.model_init_kwargs["token"] == f"late-{PLANTED}"


@pytest.mark.parametrize("config", [SFTConfig, DPOConfig, ViltTrainingArguments])
def test_what_trackers_and_pickles_get_of_settings_says_that_there_was_a_secret(config, tmp_path) -> None:
    args = config(str(tmp_path), hub_token=IN_FLAG, bf16=False)
    if config is not ViltTrainingArguments:
        args.model_init_kwargs = {"token": IN_RECIPE, "revision": "main"}
    told = json.dumps([args.to_dict(), args.to_sanitized_dict(), json.loads(args.to_json_string())], default=str)
    assert PLANTED not in told and args.to_dict()["hub_token"] == HIDDEN
    assert config(str(tmp_path), bf16=False).to_dict()["hub_token"] is None


QUESTIONS = [{"id": str(n), "question": f"what is in {n}?", "answer": "yes"} for n in range(4)]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({**row, "image": "a.png"}) + "\n" for row in QUESTIONS))
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    return file


def with_user(server: Server) -> str:
    return server.url.replace("://", f"://me:{IN_FLAG}@")


WAYS = {
    "user-info": (with_user, f"Basic {BASIC}", ""),
    "parameter": (lambda server: f"{server.url}?api_key={IN_FLAG}&v=2", None, f"?api_key={IN_FLAG}&v=2"),
    "variable": (lambda server: server.url, f"Bearer {IN_VARIABLE}", ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_endpoint_gets_its_key_and_a_run_keeps_none(way, questions, server, tmp_path, clean, monkeypatch) -> None:
    address_of, header, query = WAYS[way]
    if way == "variable":
        monkeypatch.setenv("OPENAI_API_KEY", f"{IN_VARIABLE}\n")  # as `export KEY="$(cat file)\n"` and editors leave it
    used = IN_VARIABLE if way == "variable" else IN_FLAG
    server.reply = lambda number, body: completion(f"no {used} {server.headers[-1].get('Authorization')}")  # an echo
    address, output = address_of(server), tmp_path / "run"
    given = ["eval", "--model", "tiny", "--data", str(questions), "--output_dir", str(output)]
    assert run([*given, "--endpoint", address, "--json", "--judge", address, "--judge_model", "judge"]) == 0
    assert {one.get("Authorization") for one in server.headers} == {header}
    assert {body["path"] for body in server.bodies} == {f"/v1/chat/completions{query}"}
    clean()
    assert (HIDDEN in json.loads((output / "results.json").read_text())["settings"]["endpoint"]) == (way != "variable")
    asked = len(server.bodies)
    bare = server.url + ("?v=2" if way == "parameter" else "")  # no answer is asked again for want of the key
    assert run([*given, "--endpoint", bare, "--resume"]) == 0 and len(server.bodies) == asked
    assert run(["score", str(output), "--output_dir", str(tmp_path / "scored")]) == 0
    assert run(["compare", str(output), str(tmp_path / "scored")]) == 0
    clean()


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_server_that_fails_may_say_its_key_and_nobody_repeats_it(
    status, questions, server, tmp_path, clean, monkeypatch
) -> None:
    monkeypatch.setattr("sightline.models.chat_client.LONGEST_OWN_WAIT_S", 0.0)  # after the first second
    monkeypatch.setenv("OPENAI_API_KEY", IN_VARIABLE)
    server.reply = lambda number, body: (
        status, {"error": f"headers: Authorization: Bearer {IN_VARIABLE}, {server.headers[-1]}"}, {"Retry-After": "0"}
    )  # fmt: skip
    given = ["eval", "--model", "tiny", "--data", str(questions), "--output_dir", str(tmp_path / "run")]
    assert run([*given, "--endpoint", f"{server.url}?token={IN_FLAG}"]) in (0, 1, 2)
    assert str(status) in clean() or status == 400


@pytest.mark.parametrize("kind", ["conversation", "preferences"])
def test_written_rows_say_who_wrote_them_without_a_key(kind, server, tmp_path, clean, questions, monkeypatch) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", IN_VARIABLE)
    source = tmp_path / "captions.jsonl"
    source.write_text(json.dumps({"image": "a.png", "captions": ["a red square"]}) + "\n")
    said = json.dumps({"question": "What colour?", "answer": f"Red {IN_VARIABLE}"})
    server.reply = lambda number, body: completion(said if kind == "conversation" else f"answer {number} {IN_FLAG}")
    address = with_user(server)
    given = ["data", "synthesize", str(source if kind == "conversation" else questions), "--kind", kind, "--model", "m"]
    output = ["--output_path", str(tmp_path / "made.jsonl"), "--api_key_env", "MY_SERVER_KEY", "--json"]
    judge = ["--judge", address, "--judge_model", "j"] if kind == "preferences" else []
    run([*given, *output, *judge, "--endpoint", address])
    clean()
    asked = len(server.bodies)
    run([*given, *output, *judge, "--endpoint", server.url])  # the same run, whose key the server no longer wants
    assert len(server.bodies) == asked
    clean()


ADDRESSES = (
    f"https://pictures.test/a.png?X-Amz-Credential={PLANTED}1&X-Amz-Date=1&X-Amz-Signature={PLANTED}2",
    f"https://pictures.test/b.png?token={PLANTED}",
    f"https://pictures.test/broken.png?sig={PLANTED}",
    f"https://me:{PLANTED}@pictures.test/c.png",
)


@pytest.mark.slow
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("allowed", [True, False])
def test_a_picture_at_a_signed_address_is_used_and_its_signature_kept_nowhere(
    address, allowed, tmp_path, clean, model_folder, monkeypatch
) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    sent = b"no picture" if "broken" in address else picture.read_bytes()
    download = fetched._download
    monkeypatch.setattr(fetched, "_download", lambda *given: sent if "@" not in address else download(*given))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "elsewhere"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"image": address, "question": "what?", "answer": "red"}) + "\n")
    allow = ["--allow_urls"] if allowed else []
    model = ["--model", str(model_folder)]
    checked = run(["data", "check", str(rows), "--output_dir", str(tmp_path / "checked"), *allow])
    page = ["--output_path", str(tmp_path / "page.html")]
    previewed = run(["data", "preview", str(rows), *model, *page, *allow])
    others = {
        run(["data", "convert", str(rows), str(tmp_path / "made.jsonl"), "--to", "trl-sft", *allow]),
        run([*command("sft", model_folder, rows, tmp_path / "sft"), "--max_steps", "1", *allow]),
    }
    is_fetched = allowed and address in ADDRESSES[:2]
    assert checked == 0 and previewed == (not is_fetched) and others == {0 if is_fetched else 2}
    assert run(["eval", *model, "--data", str(rows), "--output_dir", str(tmp_path / "run")]) == 2
    assert run(["ask", str(model_folder), address, "what?"]) == 2
    assert f"'{address.split('?')[0].replace(f'me:{PLANTED}', HIDDEN)}" in clean(rows)


@pytest.mark.parametrize(
    "typed",
    [
        ["eval", "--model", "m", "--api_key", IN_FLAG],
        ["eval", "--model", "m", "--data", "x.jsonl", "--endpoint", "http://127.0.0.1:9/v1", "--api_key_env", IN_FLAG],
        ["eval", "--model", "m", "--data", "x.jsonl", "--endpoint", f"ftp://me:{IN_FLAG}@h/v1"],
        ["eval", "--model", "m", "--data", "x.jsonl", "--endpoint", f"http://me:{IN_FLAG}@h:port/v1"],
        ["eval", "--model", "m", "--data", "x.jsonl", "--endpoint", f"http://me:a/{IN_FLAG}@h/v1"],
        ["eval", "--model", "m", "--data", f"https://h/x.jsonl?token={IN_FLAG}"],
        ["sft", "--hub_token", IN_FLAG, "another"],
        ["sft", "--hub_tokn", IN_FLAG],
        ["sft", f"--token={IN_FLAG}"],
        ["sft", "--dataset_name", f"https://user:{IN_FLAG}@h/rows.jsonl", "--model_name_or_path", "m"],
        ["sft", "--model_name_or_path", f"https://user:{IN_FLAG}@huggingface.co/a/b", "--dataset_name", "x"],
        ["ask", f"https://{IN_FLAG}@huggingface.co/a/b", "x.png", "what?"],
        ["doctor", "--hub_token", IN_FLAG, "--model_name_or_path", "nowhere", "--dataset_name", "x.jsonl"],
        ["doctor", "--json"],
        ["data", "check", f"hf://me:{IN_FLAG}@datasets/x"],
    ],
)
def test_a_command_that_is_wrong_is_refused_without_repeating_its_secret(typed, clean, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", IN_VARIABLE)
    code = run(typed)
    assert code == (0 if typed == ["doctor", "--json"] else 2)
    assert clean()


def test_a_traceback_of_any_exception_holds_no_secret(monkeypatch, capsys) -> None:
    monkeypatch.setenv("HF_TOKEN", IN_VARIABLE)
    with safe_output():
        try:
            raise KeyError(f"Illegal header value b'Bearer {IN_VARIABLE}'")
        except KeyError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        print(f"an answer with {IN_VARIABLE}")
        print("https://me:pass@host/v1?token=abc", file=sys.stderr)
    printed = capsys.readouterr()
    assert "KeyError" in printed.err and PLANTED not in printed.err + printed.out
    assert printed.out == f"an answer with {HIDDEN}\n" and f"https://{HIDDEN}@host/v1?token={HIDDEN}" in printed.err


def test_what_an_earlier_version_recorded_in_clear_is_not_shown_again(questions, server, tmp_path, clean) -> None:
    server.reply = lambda number, body: completion("yes")
    given = ["eval", "--model", "tiny", "--data", str(questions), "--endpoint", server.url, "--output_dir"]
    runs = [tmp_path / "old", tmp_path / "new"]
    for folder in runs:
        assert run([*given, str(folder)]) == 0
    files = [runs[0] / name for name in ("results.json", "environment.json", "begun.json")]
    for file in files:
        file.write_text(file.read_text().replace("http://", f"http://me:{IN_FLAG}@"))
    clean(*files)
    assert run(["score", str(runs[0]), "--output_dir", str(tmp_path / "again")]) == 0
    assert run(["compare", str(runs[0]), str(runs[1]), "--output_dir", str(tmp_path / "compared"), "--json"]) == 0
    assert run([*given, str(runs[0]), "--resume"]) == 0
    clean(*files)
