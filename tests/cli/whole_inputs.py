"""One whole input of every kind that a verb reads, for trials that damage them."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Image, disable_progress_bars
from peft import LoraConfig, get_peft_model

from sightline.cli.main import run
from tests.tiny import picture, tiny_folder, tiny_llava

ROWS = 6
OTHER = [{"role": "assistant", "content": "blue"}]
VILT = (
    "--hidden_size 16 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 16 --image_size 32 "
    "--patch_size 16 --max_text_length 12 --dropout 0 --rand_augment false --per_device_train_batch_size 6 "
    "--save_strategy no --use_cpu true --max_steps 1"
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
    tiny_folder(folder / "model")
    adapted = get_peft_model(tiny_llava(), LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.peft_config["default"].base_model_name_or_path = str(folder / "model")
    adapted.save_pretrained(folder / "adapter")
    (folder / "recipe.yaml").write_text("learning_rate: 1e-3\nper_device_train_batch_size: 2\nseed: 3\n")
    (folder / "mixture.yaml").write_text(
        "# two sources\ndatasets:\n  - {path: rows.jsonl, fraction: 0.5}\n  - path: llava.json\n    fraction: 0.5\n"
        "lora_target_modules: [q_proj, v_proj]\nuse_peft: true\noptim_args: null\n"
    )
    trained = ["--train_data", str(folder / "rows.jsonl"), "--min_answer_count", "1", *VILT]
    assert run(["vilt", "vqa", *trained, "--output_dir", str(folder / "vilt")]) == 0
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
    for name in ("rows.jsonl", "bench.tsv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
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
