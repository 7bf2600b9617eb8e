"""Secrets: what is one, what texts and records look like without them, and what still works with them."""

from __future__ import annotations

import copy
import json
import pickle
import re
import time

import pytest

from sightline.errors import DataError
from sightline.runs import RunFolder, plain_data
from sightline.secrets import (
    HIDDEN,
    Secret,
    bare_address,
    credentials,
    hidden,
    hidden_command,
    is_secret_name,
    is_secret_parameter,
    names_content,
    redact,
    remember_address,
    remember_command,
    sealed,
    without_hidden,
    without_known,
    without_secrets,
)
from tests.project_tree import SOURCE, source_files

TOKEN = "hf_PlantedToken0123456789"


@pytest.mark.parametrize(
    "name",
    [
        "hub_token", "token", "push_to_hub_token", "HF_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "api_key", "apiKey",
        "X-Api-Key", "Authorization", "password", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "client_secret", "use_auth_token", "model_init_kwargs.token", "MY_SERVER_TOKEN", "sas_token",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known_in_every_dress(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "eos_token", "pad_token", "image_token", "fake_image_token", "boi_token", "mask_token", "max_new_tokens",
        "include_num_input_tokens_seen", "TOKENIZERS_PARALLELISM", "api_key_env", "image_key", "key", "PWD",
        "XDG_SESSION_ID", "SSH_AUTH_SOCK", "secretary", "tokenizer", "",
    ],
)  # fmt: skip
def test_names_of_other_things_are_not(name):
    assert not is_secret_name(name)


def test_a_secret_opens_doors_and_shows_itself_nowhere():
    secret = Secret(TOKEN)
    assert f"Bearer {secret}" == f"Bearer {TOKEN}" and secret == TOKEN
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret and copy.copy(secret) is secret
    assert repr({"token": secret}) == f"{{'token': '{HIDDEN}'}}"
    assert pickle.loads(pickle.dumps({"token": secret})) == {"token": HIDDEN}
    assert plain_data([secret]) == [HIDDEN]


def test_a_value_that_was_given_as_a_secret_is_taken_out_of_every_text():
    sealed({"model_init_kwargs": {"token": "Opaque-Value-77", "revision": "main"}})
    assert without_known("so Opaque-Value-77 it is; Opaque%2DValue") == f"so {HIDDEN} it is; Opaque%2DValue"
    with pytest.raises(DataError, match=f"^the key {HIDDEN} was refused$"):
        raise DataError("the key Opaque-Value-77 was refused")


def test_secrets_of_the_environment_are_taken_out_but_no_words_and_no_paths(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("hf_kept_by_login_0001\n")
    for name, value in {
        "HF_HOME": str(tmp_path), "OPENAI_API_KEY": "EMPTY", "A_TOKEN": "Value-Of-A-77\n", "B_SECRET": "/etc/b/secret",
        "HTTPS_PROXY": "http://me:Proxy-Pass-77@proxy:80",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    said = "EMPTY Value-Of-A-77 /etc/b/secret Proxy-Pass-77 hf_kept_by_login_0001"
    assert without_known(said) == f"EMPTY {HIDDEN} /etc/b/secret {HIDDEN} {HIDDEN}"


@pytest.mark.parametrize(
    ("address", "shown", "bare"),
    [
        ("http://user:pw@host:8000/v1", "http://<hidden>@host:8000/v1", "http://host:8000/v1"),
        ("https://ghp_x@github.com/a/b.git", "https://<hidden>@github.com/a/b.git", "https://github.com/a/b.git"),
        ("http://h/v1?api_key=abc&v=2", "http://h/v1?api_key=<hidden>&v=2", "http://h/v1?v=2"),
        ("https://h/a.png?token=abc#top", "https://h/a.png?token=<hidden>#top", "https://h/a.png#top"),
        (
            "https://b.s3/x.png?X-Amz-Credential=AK%2F1&X-Amz-Date=2&X-Amz-Signature=ff",
            "https://b.s3/x.png?X-Amz-Credential=<hidden>&X-Amz-Date=<hidden>&X-Amz-Signature=<hidden>",
            "https://b.s3/x.png",
        ),
        ("http://me:pa/s#s?@h:80/v1", "http://<hidden>@h:80/v1", "http://h:80/v1"),
        ("http://h:8000/@me?to=a@b", "http://h:8000/@me?to=a@b", "http://h:8000/@me?to=a@b"),
        ("https://h/a?size=3&page=key", "https://h/a?size=3&page=key", "https://h/a?size=3&page=key"),
        ("https://h/@me/a?to=a@b", "https://h/@me/a?to=a@b", "https://h/@me/a?to=a@b"),
    ],
)
def test_addresses_are_shown_with_their_secrets_hidden_and_compared_without(address, shown, bare):
    assert redact(f"'{address}' failed") == f"'{shown}' failed"
    assert bare_address(address) == bare_address(shown) == bare
    assert redact(redact(address)) == shown


def test_what_an_address_gave_away_is_taken_out_where_it_stands_alone():
    remember_address("https://me:Pass-Word-77@h/v1?sig=Signed-By-77&key=photos/1.jpg&token=Token-Of-77")
    said = "Pass-Word-77, Signed-By-77, photos/1.jpg, Token-Of-77, Basic bWU6UGFzcy1Xb3JkLTc3"
    assert without_known(said) == f"{HIDDEN}, {HIDDEN}, photos/1.jpg, {HIDDEN}, Basic {HIDDEN}"


def test_only_a_signature_can_be_left_out_of_the_name_of_a_picture():
    assert names_content("https://b.s3/x.png?X-Amz-Signature=ff") and names_content("https://h/x.png?size=2")
    assert not names_content("https://h/share?token=a") and not names_content("https://h/get?key=a.png")


def test_user_info_is_sent_as_a_header_and_not_as_part_of_the_host():
    assert credentials("http://me:p%40ss@h/v1") == ("http://h/v1", "Basic bWU6cEBzcw==")
    assert credentials("http://h/v1") == ("http://h/v1", "")


def test_headers_that_a_server_echoes_and_keys_of_known_shape_are_hidden():
    assert redact('{"Authorization": "Bearer abc.def"}') == f'{{"Authorization": "{HIDDEN}"}}'
    assert redact("Authorization: Bearer abc.def, x") == f"Authorization: Bearer {HIDDEN}, x"
    assert redact("{'x-api-key': 'abc', 'x': 'abc'}") == f"{{'x-api-key': '{HIDDEN}', 'x': 'abc'}}"
    assert redact("hub_token: expected text, got 'abc'") == "hub_token: expected text, got 'abc'"
    assert redact("got sk-proj-ABCDEFGHIJKLMNOPQRSTUVWX here") == f"got {HIDDEN} here"
    assert redact("a bearer certificate; basic understanding") == "a bearer certificate; basic understanding"


def test_settings_to_write_say_that_there_was_a_secret_and_settings_to_compare_leave_it_out():
    given = {
        "hub_token": "abc", "eos_token": "</s>", "use_auth_token": True, "token": None, "steps": 3,
        "headers": {"Authorization": "x", "Accept": "y"}, "urls": ["http://u:p@h/v1"],
    }  # fmt: skip
    assert hidden(given) == {
        "hub_token": HIDDEN, "eos_token": "</s>", "use_auth_token": True, "token": None, "steps": 3,
        "headers": {"Authorization": HIDDEN, "Accept": "y"}, "urls": ["http://<hidden>@h/v1"],
    }  # fmt: skip
    bare = without_secrets(given)
    assert "hub_token" not in bare and bare["headers"] == {"Accept": "y"} and bare["urls"] == ["http://h/v1"]
    assert without_secrets(hidden(given)) == bare


def test_recorded_settings_are_read_without_what_was_hidden():
    kept, names = without_hidden({"a": 1, "hub_token": HIDDEN, "kwargs": {"token": HIDDEN, "b": 2}})
    assert kept == {"a": 1, "kwargs": {"b": 2}} and names == ["hub_token", "kwargs.token"]


def test_a_command_is_recorded_without_its_secrets_however_short(monkeypatch):
    typed = ["sft", "--hub_token", "abc", "--hub-token=xy", "--max_steps", "3", "--endpoint", "http://u:p@h/v1"]
    assert hidden_command(typed) == [
        "sft", "--hub_token", HIDDEN, f"--hub-token={HIDDEN}", "--max_steps", "3", "--endpoint", "http://<hidden>@h/v1",
    ]  # fmt: skip
    mapping = ["--model_init_kwargs", "{token: abc, revision: main}", "--kwargs", '{"api_key": "abc"}']
    assert hidden_command(mapping)[1::2] == [f"{{token: {HIDDEN}, revision: main}}", f'{{"api_key": "{HIDDEN}"}}']
    assert hidden_command(["--extra_body={api_key: abc}"]) == [f"--extra_body={{api_key: {HIDDEN}}}"]
    remember_command(["eval", "--api_key", "Key-Typed-77"])
    assert without_known("no such option Key-Typed-77") == f"no such option {HIDDEN}"


@pytest.mark.parametrize("given", [["--hub_token", "Key-Typed-78"], ["--hub_token=Key-Typed-78"]])
def test_what_stands_behind_a_secret_is_none(given):
    typed = ["data", "preview", *given, "train_V3.jsonl"]
    remember_command(typed)
    assert hidden_command(typed)[-1] == "train_V3.jsonl" and "Key-Typed-78" not in " ".join(hidden_command(typed))
    assert without_known("wrote train_V3.jsonl by Key-Typed-78") == f"wrote train_V3.jsonl by {HIDDEN}"


def test_addresses_without_end_are_looked_through_at_once():
    start = time.process_time()
    assert redact("://a:b" * 50_000)
    assert time.process_time() - start < 20


def test_parameters_of_addresses_with_ordinary_names_are_no_secrets():
    assert not any(map(is_secret_parameter, ("page", "size", "format", "monkey", "tokens", "max_tokens")))


# Files that open others to write them, beside runs.py, which takes what is known to be secret out of all texts.
OWN_WRITERS = {
    "data/sources/kept_rows.py": "a user's rows, as they are",
    "data/sources/new_file.py": "a user's rows, as they are",
    "data/sources/text_files.py": "a user's rows, unpacked into a temporary file",
    "data/worlds/rows.py": "generated rows",
    "demo/exam.py": "generated rows",
    "answering/asking.py": "answers, from which it takes secrets itself",
    "disks.py": "the number of a process",
    "runs.py": "where all others write",
}


def test_files_are_written_at_one_place():
    opened = re.compile(r"""open\((?:[^()]|\([^()]*\))*["'][waxr]?b?\+?[wax]b?\+?["']|torch\.save\(|json\.dump\(""")
    code = {path: re.sub("#.*", "", path.read_text()) for path in source_files()}
    assert {str(path.relative_to(SOURCE)) for path, text in code.items() if opened.search(text)} == OWN_WRITERS.keys()


def test_whatever_a_run_folder_writes_passes_here(tmp_path):
    sealed(TOKEN, "hub_token")
    folder = RunFolder(tmp_path / "run")
    folder.begin({"hub_token": TOKEN, "deep": {"api_key": "xyz"}}, begun={"kwargs": {"token": "xyz", "a": 1}})
    folder.write_json("more.json", {"said": f"so {TOKEN}"})
    folder.append_metrics({"note": TOKEN})
    written = {path.name: path.read_text() for path in folder.path.iterdir()}
    assert not any(TOKEN in text or "xyz" in text for text in written.values())
    assert f"hub_token: {HIDDEN}" in written["config.yaml"].replace("'", "")
    assert json.loads(written["begun.json"]) == {"kwargs": {"a": 1}}
