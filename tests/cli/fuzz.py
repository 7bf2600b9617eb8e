"""Inputs drawn at random around whole ones: files damaged by bytes and by values, flags and recipes out of place."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Image, disable_progress_bars
from peft import LoraConfig, get_peft_model

from sightline.cli.main import run
from tests.tiny import picture, tiny_llava, tiny_processor

ROWS = 6
TRAINING = "--max_steps 1 --max_length null --gradient_checkpointing false --bf16 false --report_to none --use_cpu true"
OTHER = [{"role": "assistant", "content": "blue"}]
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


def whole_inputs(folder: Path) -> Path:
    """A folder with one whole input of every kind that a verb reads."""
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()
    for number in range(ROWS):
        picture(number).save(folder / f"{number}.png")
    rows = [{"image": f"{i}.png", "question": f"what is {i} ?", "answer": "red"} for i in range(ROWS)]
    _write_rows(folder, rows)
    _write_shards(folder)
    _write_predictions(folder)
    tiny_llava().save_pretrained(folder / "model")
    tiny_processor().save_pretrained(folder / "model")
    adapted = get_peft_model(tiny_llava(), LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.peft_config["default"].base_model_name_or_path = str(folder / "model")
    adapted.save_pretrained(folder / "adapter")
    (folder / "recipe.yaml").write_text("learning_rate: 1e-3\nper_device_train_batch_size: 2\nseed: 3\n")
    for name in ("run_a", "run_b"):
        answers, output = str(folder / "answers.jsonl"), str(folder / name)
        ended = run(["eval", "--data", str(folder / "ids.jsonl"), "--predictions", answers, "--output_dir", output])
        assert ended == 0
    return folder


def _write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines)
    (folder / "ids.jsonl").write_text("".join(json.dumps({**row, "id": str(i)}) + "\n" for i, row in enumerate(rows)))
    (folder / "rows.json").write_text(json.dumps(rows))
    for name, delimiter in (("rows.csv", ","), ("rows.tsv", "\t")):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    stored = [{**row, "image": {"bytes": (folder / row["image"]).read_bytes(), "path": None}} for row in rows]
    dataset = Dataset.from_list(stored).cast_column("image", Image())
    dataset.to_parquet(folder / "rows.parquet")
    dataset.save_to_disk(folder / "saved")
    DatasetDict({"train": dataset, "test": dataset}).save_to_disk(folder / "splits")
    turns = [[{"role": "user", "content": row["question"]}, {"role": "assistant", "content": "red"}] for row in rows]
    messages = [{"images": [row["image"]], "messages": said} for row, said in zip(rows, turns, strict=True)]
    (folder / "messages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in messages))
    pairs = [
        {"images": [row["image"]], "prompt": said[:1], "chosen": said[1:], "rejected": OTHER}
        for row, said in zip(rows, turns, strict=True)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    said = [{"from": "human", "value": "<image>\nwhat ?"}, {"from": "gpt", "value": "red"}]
    llava = [{"id": str(i), "image": row["image"], "conversations": said} for i, row in enumerate(rows)]
    (folder / "llava.json").write_text(json.dumps(llava))
    images = [{"id": i, "file_name": row["image"]} for i, row in enumerate(rows)]
    captions = [{"image_id": i, "id": i, "caption": "red"} for i in range(ROWS)]
    (folder / "captions_val2017.json").write_text(json.dumps({"images": images, "annotations": captions}))
    sentences = [{"filename": row["image"], "split": "train", "sentences": [{"raw": "red"}]} for row in rows]
    (folder / "karpathy.json").write_text(json.dumps({"images": sentences}))
    (folder / "flickr.token").write_text("".join(f"{row['image']}#0\tred\n" for row in rows))
    cells = [base64.b64encode((folder / row["image"]).read_bytes()).decode() for row in rows]
    table = [f"{i}\t{cell}\twhat ?\tred\tblue\tA\n" for i, cell in enumerate(cells)]
    (folder / "bench.tsv").write_text("index\timage\tquestion\tA\tB\tanswer\n" + "".join(table))
    (folder / "pictures").mkdir()
    shutil.copy(folder / "0.png", folder / "pictures" / "0.png")
    (folder / "pictures" / "metadata.jsonl").write_text('{"file_name": "0.png", "question": "what", "answer": "red"}\n')


def _write_shards(folder: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(ROWS):
            said = json.dumps({"question": "what ?", "answer": "red"}).encode()
            for ending, content in (("png", (folder / f"{number}.png").read_bytes()), ("json", said)):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    (folder / "shard.tar").write_bytes(buffer.getvalue())
    (folder / "packed.tar").write_bytes(gzip.compress(buffer.getvalue()))


def _write_predictions(folder: Path) -> None:
    answers = [{"id": str(i), "prediction": "red"} for i in range(ROWS)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    (folder / "answers.json").write_text(json.dumps(answers))
    for name, delimiter in (("answers.csv", ","), ("answers.tsv", "\t")):
        lines = [delimiter.join(("id", "prediction")), *(delimiter.join(row.values()) for row in answers)]
        (folder / name).write_text("\n".join(lines) + "\n")
    Dataset.from_list(answers).to_parquet(folder / "answers.parquet")
    with zipfile.ZipFile(folder / "answers.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        cells = "".join(
            f'<row r="{i + 2}"><c r="A{i + 2}"><v>{i}</v></c><c r="B{i + 2}" t="s"><v>2</v></c></row>'
            for i in range(ROWS)
        )
        head = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
        main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}><sheetData>{head}{cells}</sheetData></worksheet>")
        texts = "".join(f"<si><t>{text}</t></si>" for text in ("id", "prediction", "red"))
        book.writestr("xl/sharedStrings.xml", f"<sst {main}>{texts}</sst>")


SOURCES = (
    "rows.jsonl rows.json rows.csv rows.tsv rows.parquet saved splits messages.jsonl pairs.jsonl llava.json "
    "karpathy.json captions_val2017.json flickr.token shard.tar packed.tar pictures bench.tsv"
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
        (1, ["dpo", "--model_name_or_path", "@model", "--dataset_name", "@pairs.jsonl", *trained]),
        (2, ["data", "preview", source, "--model", "@model"]),
        (2, ["eval", "--data", "@ids.jsonl", "--model", draw.choice(["@model", "@adapter"]), "--max_new_tokens", "2"]),
        (1, ["doctor", "--model_name_or_path", "@model", "--dataset_name", source, *trained]),
        (2, ["cache", draw.choice(["list", "verify", "clear"])]),
        (1, ["ask", "@model", "@0.png", "what ?"]),
    ]  # fmt: skip
    return draw.choices([argv for _, argv in kinds], [weight for weight, _ in kinds])[0]


def lay_out(command: list[str], whole: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """The command with copies of its inputs in `folder`, and the files of those copies."""
    files: list[Path] = []
    for number in range(ROWS):
        shutil.copy(whole / f"{number}.png", folder)
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
