"""ViLT's files may be packed, of another encoding, named in any case, or links; columns may have names of their own."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.sources.column_names import read_columns
from sightline.data.vilt.captions import read_captions
from sightline.data.vilt.questions import read_questions, read_vocabulary
from sightline.data.vilt.sentences import read_sentences
from sightline.data.vilt.sources import PictureCheck, read_lines
from sightline.errors import ConfigError, DataError

ROWS = [{"image": "a.jpg", "caption": "größe", "question": "größe ?", "answer": "ja", "sentence": "a", "label": "true"}]
COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "größe"}]}
FILES: dict[str, tuple[Callable[..., Any], str]] = {
    "captions.jsonl": (read_captions, json.dumps(ROWS[0], ensure_ascii=False) + "\n"),
    "captions_val2017.json": (read_captions, json.dumps(COCO, ensure_ascii=False)),
    "captions.token": (read_captions, "a.jpg#0\tgröße\n"),
    "captions.tsv": (read_captions, "a.jpg#0\tgröße\n"),
    "questions.jsonl": (read_questions, json.dumps(ROWS[0], ensure_ascii=False) + "\n"),
    "questions.json": (read_questions, json.dumps(ROWS, ensure_ascii=False)),
    "dev.jsonl": (read_sentences, json.dumps(ROWS[0], ensure_ascii=False) + "\n"),
}
WAYS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".utf-16": lambda content: content.decode().encode("utf-16"),
    ".UPPER": bytes,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_reads_the_same_in_every_way_that_people_keep_it(name: str, way: str, folder: Path) -> None:
    read, content = FILES[name]
    (folder / name).write_text(content, encoding="utf-8")
    (plain,) = read(folder / name)
    other = name.upper() if way == ".UPPER" else name if way == ".utf-16" else name + way
    (folder / other).write_bytes(WAYS[way](content.encode()))
    (row,) = read(folder / other)
    assert str(row).replace(other, name) == str(plain)


@pytest.mark.parametrize("name", FILES)
def test_pictures_lie_beside_what_a_file_is_a_link_to(name: str, folder: Path) -> None:
    read, content = FILES[name]
    (folder / name).write_text(content, encoding="utf-8")
    (folder / "links").mkdir()
    (folder / "links" / name).symlink_to(folder / name)
    assert len(read(folder / "links" / name)) == 1
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} is a link to .*{name}, which is not there"):
        read(folder / "links" / name)


def test_a_vocabulary_may_be_packed(tmp_path: Path) -> None:
    (tmp_path / "answers.json.gz").write_bytes(gzip.compress(json.dumps(["ja", "nein"]).encode()))
    (tmp_path / "answers.txt").write_bytes("ja\nnein\n".encode("utf-16"))
    assert read_vocabulary(tmp_path / "answers.json.gz") == read_vocabulary(tmp_path / "answers.txt") == ["ja", "nein"]
    assert read_lines(tmp_path / "answers.txt") == ["ja", "nein"]


@pytest.mark.parametrize("read", [read_captions, read_questions, read_sentences])
def test_columns_may_have_names_of_their_own(read: Any, folder: Path) -> None:
    own = {"image": "img", "caption": "c", "question": "q", "answer": "a", "sentence": "s", "label": "l"}
    (folder / "plain.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    (folder / "rows.jsonl").write_text(json.dumps({own[name]: value for name, value in ROWS[0].items()}) + "\n")
    names = read_columns(",".join(f"{name}={other}" for name, other in own.items()))
    check = PictureCheck(columns=names)
    (row,) = read(folder / "rows.jsonl", check=check)
    (plain,) = read(folder / "plain.jsonl")
    assert str(row).replace("rows.jsonl", "plain.jsonl") == str(plain)
    with pytest.raises(DataError, match=r"plain.jsonl: --columns image=img: there is no column 'img'"):
        read(folder / "plain.jsonl", check=PictureCheck(columns=names))


def test_capitals_and_spaces_of_known_columns_do_not_matter(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"Image": "a.jpg", " Question": "what ?", "ANSWER": "ja"}) + "\n")
    assert read_questions(folder / "rows.jsonl")[0].scores == {"ja": 1.0}


@pytest.mark.parametrize("name", ["captions_val2017.json", "captions.token"])
def test_columns_of_published_files_are_not_renamed(name: str, folder: Path) -> None:
    (folder / name).write_text(FILES[name][1], encoding="utf-8")
    with pytest.raises(ConfigError, match=f"columns: .*{name} is a published file"):
        read_captions(folder / name, check=PictureCheck(columns=read_columns("caption=c")))
