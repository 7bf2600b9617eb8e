"""VLMEvalKit's TSV files: read as the harness reads them, except that nothing is lost; bad rows are named."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sightline.data.sources.tsv import LONGEST_CELL, TsvTable, read_tsv
from sightline.errors import DataError
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task

HEADER = ["index", "image", "question", "A", "B", "answer"]


def encoded(colour: str, size: tuple[int, int] = (4, 3), form: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


RED, BLUE = encoded("red"), encoded("blue", (5, 2))


def table(path: Path, *rows: list[str], header: list[str] = HEADER) -> TsvTable:
    file = path / "Made.tsv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows([header, *rows])
    return read_tsv(file)


def row(index: object, image: str = RED, question: str = "q", answer: str = "A") -> list[str]:
    return [str(index), image, question, "x", "y", answer]


def test_pictures_may_be_data_addresses(tmp_path: Path) -> None:
    address = f"data:image/png;base64,{RED}"
    read = table(tmp_path, row(1, address), row(2, f"['{address}', '{BLUE}']"), row(3, RED), row(4, "1"))
    shown = [[picture.open().size for picture in read.row(index).cells["image"]] for index in range(4)]
    assert shown == [[(4, 3)], [(4, 3), (5, 2)], [(4, 3)], [(4, 3)]]
    assert read.row(0).cells["image"][0].key == read.row(2).cells["image"][0].key


@pytest.mark.parametrize("name", ["Made.tsv.gz", "MADE.TSV", "utf-16.tsv", "utf-32.tsv.bz2", "packed.tsv"])
def test_pictures_of_packed_tables_and_other_encodings_are_those_of_plain_ones(name: str, tmp_path: Path) -> None:
    plain = table(tmp_path, row(1, RED, "größe?"), row(2, BLUE), row(3, "1"))
    content = (tmp_path / "Made.tsv").read_bytes()
    if name.startswith("utf"):
        content = content.decode().encode(name.partition(".")[0])
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress}
    pack: Callable[[bytes], bytes] = gzip.compress if name == "packed.tsv" else packers.get(Path(name).suffix, bytes)
    (tmp_path / name).write_bytes(pack(content))
    read = read_tsv(tmp_path / name)
    assert read.md5 == plain.md5 and read.columns == plain.columns
    for index in range(3):
        one, other = read.row(index), plain.row(index)
        assert one.name == other.name.replace("Made.tsv", name) and one.cells["question"] == other.cells["question"]
        assert one.cells["image"][0].key == other.cells["image"][0].key
        assert one.cells["image"][0].open().tobytes() == other.cells["image"][0].open().tobytes()
    found = load_items(load_task("custom"), DataChoice(str(tmp_path / name)))
    assert [item.question for item in found.items][0] == "größe?" and len(found.items) == 3


def test_text_of_another_encoding_is_named(tmp_path: Path) -> None:
    table(tmp_path, row(1))
    content = (tmp_path / "Made.tsv").read_bytes()
    (tmp_path / "Made.tsv").write_bytes(content.decode().encode("utf-16-le"))
    with pytest.raises(DataError, match=r"Made.tsv: expected text in UTF-8, or with the mark \(BOM\)"):
        read_tsv(tmp_path / "Made.tsv")
    (tmp_path / "Made.tsv.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(DataError, match=r"Made.tsv.gz is no whole packed file"):
        read_tsv(tmp_path / "Made.tsv.gz")


def test_pictures_lie_beside_the_table_or_beside_what_it_is_a_link_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(base64.b64decode(RED))
    (tmp_path / "data" / "Made.tsv").write_text("index\timage_path\tquestion\tanswer\n1\ta.png\tq\tA\n")
    (tmp_path / "Made.tsv").symlink_to(tmp_path / "data" / "Made.tsv")
    assert read_tsv(tmp_path / "Made.tsv").row(0).cells["image"][0].open().size == (4, 3)


def test_rows_pictures_and_indices_are_those_of_vlmevalkit(shared: Path) -> None:
    folder = shared / "conformance"
    cases = json.loads((folder / "vlmevalkit_tsv.json").read_text())["cases"]
    read = read_tsv(folder / "mini_vlmevalkit.tsv")
    rows = [read.row(index) for index in range(len(read))]
    # VLMEvalKit drops rows without a picture; here they are kept and each task says what it makes of them.
    pictured = [row for row in rows if row.cells["image"]]
    assert len(rows) == 6 and len(pictured) == len(cases)
    for found, case in zip(pictured, cases, strict=True):
        opened = [picture.open() for picture in found.cells["image"]]
        assert int(found.cells["index"]) == case["index"]
        assert [list(image.size) for image in opened] == case["image_sizes"]
        assert [list(image.getpixel((0, 0))) for image in opened] == case["first_pixel"]
        assert (found.cells["hint"] == "") == case["hint_is_nan"]
        assert (found.cells["C"] == "") == case["C_is_nan"]


def test_options_called_none_or_na_are_options(shared: Path, tmp_path: Path) -> None:
    found = json.loads((shared / "conformance" / "vlmevalkit_tsv_na.json").read_text())
    (tmp_path / "na.tsv").write_text(found["tsv"], encoding="utf-8")
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    read = read_tsv(tmp_path / "na.tsv")
    for index, case in enumerate(found["cases"]):
        cells = read.row(index).cells
        assert {letter: cells[letter] for letter in case["our_required_options"]} == case["our_required_options"]
        assert cells["answer"] == case["answer"]


def test_equal_pictures_have_one_key_and_a_reference_shows_the_row_it_names(tmp_path: Path) -> None:
    read = table(tmp_path, row(7, "8"), row(8, BLUE), row(9, RED), row(10, BLUE))
    keys = [read.row(index).cells["image"][0].key for index in range(4)]
    assert keys[0] == keys[1] == keys[3] != keys[2]
    assert read.row(0).cells["image"][0].open().size == (5, 2)


def test_a_picture_is_found_again_behind_cells_with_tabs_quotes_and_line_breaks(tmp_path: Path) -> None:
    both = f"['{RED}', '{BLUE}']"
    rows = [row(1, question='a\t"quoted"\nsecond line – ü'), row(2, BLUE, question="\n\n"), row(3, both)]
    read = table(tmp_path, *rows)
    assert read.row(0).cells["question"] == rows[0][2]
    sizes = [[picture.open().size for picture in read.row(index).cells["image"]] for index in range(3)]
    assert sizes == [[(4, 3)], [(5, 2)], [(4, 3), (5, 2)]]


def test_pictures_may_lie_in_files_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "images" / "Made").mkdir(parents=True)
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "images" / "Made" / "b.png")
    read = table(tmp_path, ["1", "['a.png', 'b.png']"], ["2", "c.png"], header=["index", "image_path"])
    assert [picture.open().size for picture in read.row(0).cells["image"]] == [(3, 3), (2, 2)]
    with pytest.raises(DataError, match=r"Made.tsv row 2 \(index 2\): image 'c.png' not found"):
        read.row(1)


def test_no_picture_is_kept_in_memory(tmp_path: Path) -> None:
    read = table(tmp_path, row(1), row(2, f"['{RED}', '{BLUE}']"))
    kept = [cell for record in read.records for cell in record.cells.values()]
    assert max(map(len, kept)) < 20


@pytest.mark.parametrize(
    ("rows", "index", "message"),
    [
        ([row(1), row(1)], 1, r"row 2 \(index 1\): the index 1 is that of Made.tsv row 1 \(index 1\) already"),
        ([row(1), ["2", RED, "q"]], 1, "row 2: expected 6 cells as the header has, got 3"),
        ([row(1), [*row(2), "more"]], 1, "row 2: expected 6 cells as the header has, got 7"),
        ([row(1, "99")], 0, r"row 1 \(index 1\): expected an image in base64 or the index of a row .* got '99'"),
        ([row(1, "2"), row(2, "3"), row(3)], 0, "got '2'"),
        ([row(1, RED[:-3])], 0, r"row 1 \(index 1\): the image is no base64"),
    ],
)
def test_a_bad_row_is_named_when_it_is_asked_for(
    tmp_path: Path, rows: list[list[str]], index: int, message: str
) -> None:
    read = table(tmp_path, *rows)
    with pytest.raises(DataError, match=message):
        read.row(index)


def test_a_picture_that_is_none_is_named_when_it_is_opened(tmp_path: Path) -> None:
    read = table(tmp_path, row(1, base64.b64encode(b"no picture, but long enough " * 4).decode()))
    with pytest.raises(DataError, match=r"Made.tsv row 1 \(index 1\): .* no picture that Pillow can read"):
        read.row(0).cells["image"][0].open()


def test_rows_after_a_bad_one_are_read(tmp_path: Path) -> None:
    file = tmp_path / "Made.tsv"
    good = "\t".join(row(2, BLUE))
    file.write_bytes("\t".join(HEADER).encode() + b"\n1\tx\ty\rz\n" + good.encode() + b"\n")
    read = read_tsv(file)
    with pytest.raises(DataError, match="row 1: no row of a TSV file"):
        read.row(0)
    assert read.row(len(read) - 1).cells["image"][0].open().size == (5, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a header line with the column index"),
        (b"id\tquestion\n1\tq\n", "found id, question"),
        (b"index\tquestion\tquestion\n", "names question more than once"),
        (b"index\tquestion\n", "has a header and no rows"),
        (b"index\tquestion\n1\t\xff\n", r"not encoded in UTF-8 \(invalid start byte at byte 17\)"),
    ],
)
def test_a_file_that_is_none_of_these_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_tsv(tmp_path / "bad.tsv")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "bom.tsv").write_bytes(b"\xef\xbb\xbfindex\tquestion\r\n1\tq\r\n\r\n2\tr\r\n")
    read = read_tsv(tmp_path / "bom.tsv")
    assert [read.row(index).cells["question"] for index in range(len(read))] == ["q", "r"]


def test_md5_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    read = table(tmp_path, row(1), row(2, "1"))
    assert read.md5 == hashlib.md5(read.path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_quote_that_is_never_closed_costs_bounded_memory_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "open.tsv"
    with file.open("wb") as out:
        out.write(b'index\timage\n1\t"')
        for _ in range(LONGEST_CELL // 2**20 + 1):
            out.write(b"A" * 2**20 + b"\n")
    with pytest.raises(DataError, match="a quote is opened there and never closed"):
        read_tsv(file)


@pytest.mark.slow
def test_a_large_file_needs_little_memory(tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "tsv_memory.py"), "--gigabytes", "0.1", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["file_mib"] > 90
    assert found["peak_over_start_mib"] < 40
