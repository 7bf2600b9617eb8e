"""Inputs drawn at random around whole ones: files damaged by bytes and by values, flags and recipes out of place."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.cli.whole_inputs import ROWS, VILT

TRAINING = "--max_steps 1 --max_length null --gradient_checkpointing false --bf16 false --report_to none --use_cpu true"
NUMBERS: list[Any] = [0, -1, 10**30, 1e308, float("nan"), float("inf"), 2**63, True]
TEXTS: list[Any] = [
    "", " ", "x" * 200_000, "\u2028", "\x00", "\ud800", "\x1b[2J", "<image>", "nan", "a" * 300, "\U0001f600",
    "1" * 5000, "../../etc/passwd", "/dev/null", "/dev/zero", "http://127.0.0.1:9/a.png", "data:image/png;base64,AAAA",
    "[" * 3000,
]  # fmt: skip
RECORDS: list[Any] = [
    None, [], {}, [[]], [None], [{}], {"a": {"b": []}}, {"bytes": None, "path": None}, {"bytes": "AAAA"},
    [1, "a", None], {"role": "user"}, [{"role": "user", "content": None}], [[1], [2]],
]  # fmt: skip
VALUES = [*NUMBERS, *TEXTS, *RECORDS]
FLAGS = ["", "0", "-1", "nan", "inf", "1e400", "null", "true", "no", "x", "[]", "{}", "{a: 1}", "[1,", "\u2028", "*a"]
KEYS = (
    "--limit --split --seed --batch_size --columns --max_pixels --image_folder --json --skip_bad_rows --learning_rate "
    "--max_length --share --streaming --packing --detect --profile --tasks --x"
).split()


SOURCES = (
    "rows.jsonl rows.json rows.csv rows.tsv rows.parquet saved splits messages.jsonl pairs.jsonl llava.json "
    "karpathy.json captions_val2017.json flickr.token shard.tar packed.tar pictures bench.tsv rows.jsonl.gz "
    "bench.tsv.gz"
).split()
PREDICTIONS = "answers.jsonl answers.json answers.csv answers.tsv answers.parquet answers.xlsx".split()


def draw_command(draw: random.Random) -> list[str]:
    """A command line of which every `@NAME` is an input of `whole_inputs`."""
    source = "@" + draw.choice(SOURCES)
    targets = {"trl-sft": "jsonl", "trl-dpo": "jsonl", "trl-kto": "jsonl", "llava": "json", "parquet": "parquet"}
    to = draw.choice(list(targets))
    predictions = ["--predictions", "@" + draw.choice(PREDICTIONS)]
    output = ["--output_dir", "out"]
    trained = [*output, *TRAINING.split(), "--config", "@recipe.yaml"]
    copies = [[], ["--images", "reference"]]
    kinds: list[tuple[int, list[str]]] = [
        (4, ["data", "check", source, *draw.choice([[], ["--eval", "@rows.jsonl"], output])]),
        (4, ["data", "convert", source, f"out.{targets[to]}", "--to", to, *draw.choice(copies)]),
        (6, ["eval", "--data", "@ids.jsonl", *predictions, *draw.choice([[], output])]),
        (2, ["eval", "--data", source, *predictions]),
        (6, ["score", "@run_a", *draw.choice([[], ["--profile", "strict"], output])]),
        (6, ["compare", "@run_a", "@run_b", *draw.choice([[], output])]),
        (1, ["sft", "--model_name_or_path", "@model", "--dataset_name", source, *trained]),
        (1, ["sft", "--model_name_or_path", "@model", "--dataset_name", "@rows.jsonl", *trained]),
        (2, ["sft", "--model_name_or_path", "@model", *output, *TRAINING.split(), "--config", "@mixture.yaml"]),
        (1, ["dpo", "--model_name_or_path", "@model", "--dataset_name", "@pairs.jsonl", *trained]),
        (2, ["data", "preview", source, "--model", "@model"]),
        (2, ["eval", "--data", "@ids.jsonl", "--model", draw.choice(["@model", "@adapter"]), "--max_new_tokens", "2"]),
        (1, ["doctor", "--model_name_or_path", "@model", "--dataset_name", source, *trained]),
        (2, ["merge", "@adapter", "out_model", "--base", "@model"]),
        (1, ["eval", "--data", source, "--model", "@model", "--max_new_tokens", "2", "--columns", "question=caption"]),
        (2, ["cache", draw.choice(["list", "verify", "clear"])]),
        (1, ["ask", draw.choice(["@model", "@adapter", "@vilt"]), "@0.png", "what ?"]),
        (1, ["vilt", draw.choice(["pretrain", "vqa"]), "--train_data", source, *output, *VILT]),
        (1, ["vilt", "vqa", "--model_name_or_path", "@vilt", "--train_data", "@rows.jsonl", *output, *VILT[-6:]]),
        (2, ["vilt", "evaluate", "@vilt", source, *draw.choice([[], output])]),
        (2, ["data", "synthesize", source, "--kind", "preferences", "--policy", "@model", "--output_path", "out.jsonl",
             "--samples", "2", "--max_new_tokens", "2"]),
    ]  # fmt: skip
    return draw.choices([argv for _, argv in kinds], [weight for weight, _ in kinds])[0]


def lay_out(command: list[str], whole: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """The command with copies of its inputs in `folder`, and the files of those copies."""
    files: list[Path] = []
    for name in (*(f"{number}.png" for number in range(ROWS)), "rows.jsonl", "llava.json"):
        shutil.copy(whole / name, folder)
    placed = []
    for part in command:
        if not part.startswith("@"):
            placed.append(str(folder / part) if part.startswith("out") else part)
            continue
        target = folder / part[1:]
        if (whole / part[1:]).is_dir():
            shutil.copytree(whole / part[1:], target, dirs_exist_ok=True)
            files += sorted(path for path in target.rglob("*") if path.is_file())
        else:
            shutil.copy(whole / part[1:], target)
            files.append(target)
        placed.append(str(target))
    return placed, files


def damage_file(path: Path, draw: random.Random, others: list[Path]) -> str:
    """Damages a file in one way; returns which."""
    ways: list[Callable[[Path, random.Random], None]] = [
        _flip,
        _cut,
        _fill,
        _insert,
        _repeat,
        _append,
        _recode,
        _remove,
    ]
    if path.suffix in (".jsonl", ".json"):
        ways += [_change_values] * 12
    if path.suffix in (".csv", ".tsv", ".token", ".yaml"):
        ways += [_change_cells] * 6
    if path.suffix == ".yaml":
        ways += [_change_settings] * 20
    way = draw.choice(ways)
    if draw.random() < 0.05 and others:
        path.write_bytes(draw.choice(others).read_bytes())
        return "_exchange"
    way(path, draw)
    return way.__name__


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"0")
    for _ in range(draw.choice([1, 1, 3, 30])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)


def _cut(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.choice([0, 1, 7, draw.randrange(len(content) + 1), len(content) - 1])])


def _fill(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    start = draw.randrange(len(content) + 1)
    count = min(len(content) - start, draw.choice([1, 8, 100, len(content)]))
    path.write_bytes(content[:start] + bytes(count) + content[start + count :])


def _insert(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    start = draw.randrange(len(content) + 1)
    pool = [
        b"\x00",
        b"\n",
        b"\r\n",
        b'"',
        b"\xff\xfe",
        "\u2028".encode(),
        b"\t",
        b",",
        b"{",
        b"[" * 5000,
        b"1" * 5000,
        draw.randbytes(9),
    ]
    path.write_bytes(content[:start] + draw.choice(pool) + content[start:])


def _repeat(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    start = draw.randrange(len(content) + 1)
    path.write_bytes(content[:start] + content[start : start + 200] * draw.choice([2, 5]) + content[start + 200 :])


def _append(path: Path, draw: random.Random) -> None:
    path.write_bytes(
        path.read_bytes()
        + draw.choice([b"\n\n", b"\x00" * 512, b"{}\n", b"null\n", b"7\n", b"[]\n", draw.randbytes(30)])
    )


def _recode(path: Path, draw: random.Random) -> None:
    try:
        text = path.read_text(encoding="utf-8") + "\u00e9"
    except UnicodeDecodeError:
        return
    path.write_bytes(text.encode(draw.choice(["utf-16", "utf-8-sig", "latin-1", "utf-32", "cp500"]), "replace"))


def _remove(path: Path, draw: random.Random) -> None:
    path.unlink()
    if draw.random() < 0.5:
        path.mkdir()
    elif draw.random() < 0.2:
        path.symlink_to(path.name)


def _change_values(path: Path, draw: random.Random) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True) if path.suffix == ".jsonl" else [text]
        where = draw.randrange(len(lines))
        value = json.loads(lines[where])
    except ValueError:
        return
    for _ in range(draw.choice([1, 1, 2, 4])):
        value = _changed(value, draw)
    text = json.dumps(value)
    if path.suffix == ".jsonl":
        lines[where] = text + "\n"
        text = "".join(lines)
    path.write_text(text)


def _change_settings(path: Path, draw: random.Random) -> None:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        return
    path.write_text(yaml.safe_dump(_changed(value, draw), allow_unicode=True), encoding="utf-8", errors="replace")


def _changed(value: Any, draw: random.Random) -> Any:
    """The value with one part of it exchanged, renamed or taken away."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        kind = draw.random()
        if kind < 0.12:
            return {name: part for name, part in value.items() if name != key}
        if kind < 0.2:
            return {
                draw.choice(["x", "", "image", "id"]) if name == key else name: part for name, part in value.items()
            }
        return {**value, key: _changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.85:
        place = draw.randrange(len(value))
        if draw.random() < 0.12:
            return value[:place] + value[place + 1 :]
        return value[:place] + [_changed(value[place], draw)] + value[place + 1 :]
    return draw.choice(VALUES)


def _change_cells(path: Path, draw: random.Random) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    pool = [str(value) for value in VALUES if value != "\ud800"] + [
        '"',
        '""',
        "\n",
        "\t",
        ",",
        "#0",
        "- a\n",
        ": ",
        "? [",
        "a" * 140_000,
        *FLAGS,
    ]
    marks = [place for place, letter in enumerate(text) if letter in ",\t\n:#"]
    start = draw.choice(marks or [0])
    path.write_text(text[: start + 1] + draw.choice(pool) + text[start + draw.choice([1, 3, 9]) :], encoding="utf-8")


def change_flags(command: list[str], draw: random.Random) -> list[str]:
    """The command with one of its arguments exchanged, doubled, left out or added."""
    command = list(command)
    place = draw.randrange(1, len(command))
    kind = draw.random()
    if kind < 0.5:
        command[place] = draw.choice(FLAGS)
    elif kind < 0.7:
        del command[place]
    else:
        command[place:place] = [draw.choice(KEYS), draw.choice(FLAGS)]
    return command
