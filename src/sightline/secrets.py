"""Find secrets in settings, variables and addresses, and hide them in texts and records."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "<hidden>"
"""What is shown and written in the place of a secret."""

SHORTEST = 8  # of a value that is taken out of any text; a shorter one, `EMPTY` say, is a word like others

_ALWAYS = frozenset("password passwd passphrase secret apikey authorization credential credentials cookie".split())
_KEYS_TO = frozenset("api access secret private account auth signing encryption shared subscription master app".split())
_TOKENS_OF_TEXT = frozenset(
    "added audio begin bos boi bot box boxes break close cls column eoi end eos eot fake first frame global image img "
    "last mask max min new newline next num object open pad patch per placeholder point prefix ref row sep soi special "
    "start stop suffix think tile tool unk video vision".split()
)  # what a vocabulary's tokens are called: `image_token`, `eos_token`
_SIGNING = frozenset("sig sign signature hmac policy key-pair-id awsaccesskeyid googleaccessid ossaccesskeyid".split())
_SIGNING_STEMS = ("x-amz-", "x-goog-", "x-oss-", "q-sign", "q-ak")
_OFTEN_NAMES = frozenset({"key", "code"})  # of an address's parameters: a secret, or what is asked for
_ACCESS = frozenset("auth jwt pass pw pwd sas tk sk ak appkey".split()) | _OFTEN_NAMES

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# The second form is one whose password holds what should have been written as %2F, %3F or %23; a port is none.
_USER_INFO = re.compile(
    rf"(?<=://)(?:(?:[^\s/?#\"'<>\\]|{HIDDEN})+@|[^\s/?#:@\"'<>\\]+:(?!\d*(?:[/?#]|$))[^\s\"'<>\\]{{1,1024}}@)"
)
_PARAMETER = re.compile(r"([?&;#]|u0026)([\w.%\-\[\]]{1,64})=([^&;#\s\"'<>\\]+)")
_HEADER = re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+)[^\s\"'<>\\,]+")
_QUOTED = re.compile(r"(([\"'])([\w.-]{1,64})\2\s*[:=]\s*[\"'])[^\"']+")
_IN_MAPPING = re.compile(r"(\b([\w.-]{1,64})[\"']?\s*[:=]\s*[\"']?)[^\s\"',{}\[\]]+")
_KNOWN_SHAPES = re.compile(r"\b(?:hf_[A-Za-z0-9]{24,}|sk-[\w-]{24,}|gh[pousr]_[A-Za-z0-9]{24,}|AIza[\w-]{30,})")
_known: set[str] = set()


class Secret(str):
    """A secret setting: itself to whoever uses it, `<hidden>` to whoever shows, copies to a file or pickles it.

    From when it is made, `redact` and `without_known` take its value out of every text.
    """

    def __new__(cls, value: str) -> Secret:
        remember(value)
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (HIDDEN,)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self


def redact(text: str) -> str:
    """A message without secrets: known values, user-info and key-like parameters of addresses, keys in headers and
    records."""
    text = _PARAMETER.sub(_without_value, _USER_INFO.sub(f"{HIDDEN}@", text))
    text = _QUOTED.sub(lambda found: found[1] + HIDDEN if is_secret_name(found[3]) else found[0], text)
    return without_known(_KNOWN_SHAPES.sub(HIDDEN, _HEADER.sub(rf"\1{HIDDEN}", text)))


def without_known(text: str) -> str:
    """A text, data among them, without the values that are known to be secret; all else stays as it is."""
    for value in sorted(_known | _values_of_environment(), key=len, reverse=True):
        if value in text:
            text = text.replace(value, HIDDEN)
    return text


def hidden(value: Any) -> Any:
    """Settings to show or write: `<hidden>` in the place of each secret, at any depth."""
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: HIDDEN if _holds_secret(key, item) else hidden(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def without_secrets(value: Any) -> Any:
    """Settings to compare, or to make a key of: secrets are left out, hidden ones too, whoever gave them."""
    if isinstance(value, Mapping):
        return {key: without_secrets(item) for key, item in value.items() if not _holds_secret(key, item)}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return bare_address(value) if isinstance(value, str) and "://" in value else value


def sealed(value: Any, name: str = "") -> Any:
    """A setting with each secret in it, at any depth, as a `Secret`; what holds none is returned as it is."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        if name and is_secret_name(name) and value:
            return Secret(value)
        remember_address(value)
        return value
    if type(value) is dict:
        found = {key: sealed(item, str(key)) for key, item in value.items()}
        return found if any(found[key] is not value[key] for key in value) else value
    if type(value) in (list, tuple):
        items = [sealed(item, name) for item in value]
        return type(value)(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def without_hidden(settings: Any, where: str = "") -> tuple[Any, list[str]]:
    """Recorded settings without those that were hidden, and the names of these."""
    if not isinstance(settings, dict):
        return settings, []
    kept: dict[Any, Any] = {}
    names: list[str] = []
    for key, value in settings.items():
        name = f"{where}.{key}".lstrip(".")
        if isinstance(value, str) and value == HIDDEN:
            names.append(name)
            continue
        kept[key], inner = without_hidden(value, name)
        names += inner
    return kept, names


def hidden_command(arguments: Iterable[str]) -> list[str]:
    """A command line to record: the values of flags with a secret's name are hidden, and all that is known."""
    shown: list[str] = []
    for flag, value, is_secret in _told_apart(arguments):
        shown.append(flag + (HIDDEN if is_secret else _without_values(redact(value))))
    return shown


def remember_command(arguments: Iterable[str]) -> None:
    """Makes the secrets of a command line known, before anything is said about it."""
    for _, value, is_secret in _told_apart(arguments):
        if is_secret:
            remember(value)
        remember_address(value)


def _told_apart(arguments: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """Each argument as its flag (`--name=` with a value behind it), its value, and whether that is a secret."""
    awaits = False
    for argument in arguments:
        if not argument.startswith("--"):
            yield "", argument, awaits
            awaits = False
            continue
        name, equals, value = argument[2:].partition("=")
        is_secret = is_secret_name(name)
        yield f"--{name}{equals}", value, is_secret and bool(equals)
        awaits = is_secret and not equals


def remember(value: str) -> None:
    """Makes a secret known by its value, unless it could be any word."""
    _known.update(_spellings(value))


def remember_address(address: str) -> None:
    """Makes known what is secret in an address; nothing for other texts."""
    if "://" not in address:
        return
    for found in _USER_INFO.findall(address):
        user, _, password = found[:-1].partition(":")
        remember(password or user)
        remember(base64.b64encode(unquote(found[:-1]).encode()).decode())  # as a header carries it
    for _, name, value in _PARAMETER.findall(address):
        is_name = name.lower() in _OFTEN_NAMES and not re.fullmatch(r"[\w-]{16,}", value)
        if is_secret_parameter(name) and not is_name:
            remember(value)


def bare_address(address: str) -> str:
    """An address without user-info and secret parameters: what names, keys and comparisons are made of."""
    plain = _USER_INFO.sub("", address)
    before, mark, query = plain.partition("?")
    if not mark:
        return plain
    query, hash_mark, fragment = query.partition("#")
    kept = [part for part in query.split("&") if not is_secret_parameter(part.partition("=")[0])]
    return before + (f"?{'&'.join(kept)}" if kept else "") + hash_mark + fragment


def names_content(address: str) -> bool:
    """Whether an address without its secrets still names what lies there: a signed one does, with `token=` who knows.

    The secret of a shared link may be all that tells one picture from another.
    """
    if _USER_INFO.search(address):
        return False
    names = [name for _, name, _ in _PARAMETER.findall(address)]
    return all(_is_signing(name) for name in names if is_secret_parameter(name))


def credentials(address: str) -> tuple[str, str]:
    """An address without user-info, to connect to, and the header of its user-info, empty without one."""
    found = _USER_INFO.search(address)
    if found is None:
        return address, ""
    encoded = base64.b64encode(unquote(found[0][:-1]).encode()).decode()
    return address.replace(found[0], "", 1), f"Basic {encoded}"


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a setting or variable of this name holds a secret: `hub_token`, `OPENAI_API_KEY`, `X-Api-Key`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    *others, last = words
    if last == "token":
        return _TOKENS_OF_TEXT.isdisjoint(others)
    if last == "key":
        return bool(others) and others[-1] in _KEYS_TO
    return last in _ALWAYS


@functools.lru_cache(maxsize=4096)
def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of an address gives access by its value."""
    plain = unquote(name).lower()
    return plain in _ACCESS or is_secret_name(unquote(name)) or _is_signing(name)


def _is_signing(name: str) -> bool:
    """Whether a parameter belongs to a signature over the rest of the address."""
    plain = unquote(name).lower()
    return plain in _SIGNING or plain.startswith(_SIGNING_STEMS)


def _holds_secret(key: Any, value: Any) -> bool:
    is_text = isinstance(value, str) or (isinstance(value, list | tuple) and any(isinstance(one, str) for one in value))
    return isinstance(value, Secret) or (bool(value) and is_text and is_secret_name(str(key)))


def _without_values(mapping: str) -> str:
    """An argument that may be a mapping, `{token: abc}`, without its secrets."""
    return _IN_MAPPING.sub(lambda found: found[1] + HIDDEN if is_secret_name(found[2]) else found[0], mapping)


def _without_value(match: re.Match[str]) -> str:
    mark, name, _ = match.groups()
    return f"{mark}{name}={HIDDEN}" if is_secret_parameter(name) else match[0]


@functools.lru_cache(maxsize=256)
def _spellings(value: str) -> frozenset[str]:
    """A secret's value as addresses and JSON write it; nothing for one that could be a word of any text."""
    value = value.strip()
    if not _is_telling(value):
        return frozenset()
    return frozenset({value, quote(value, safe=""), unquote(value), json.dumps(value)[1:-1]})


def _is_telling(value: str) -> bool:
    """Whether a value cannot be a word of any text: long, with digits or capitals."""
    return len(value) >= SHORTEST and (len(value) >= 2 * SHORTEST or any(c.isdigit() or c.isupper() for c in value))


def _values_of_environment() -> set[str]:
    """Secrets of environment variables, and the token that `hf auth login` keeps."""
    values: set[str] = set()
    for name, value in os.environ.items():
        if is_secret_name(name) and not value.startswith(("/", "~", ".")):  # paths of files with credentials
            values.add(value)
        elif "://" in value and "@" in value:  # a proxy's, a database's
            values.update(found[:-1].partition(":")[2] for found in _USER_INFO.findall(value))
    values.add(_token_of_login())
    return {spelling for value in values for spelling in _spellings(value)}


def _token_of_login() -> str:
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
