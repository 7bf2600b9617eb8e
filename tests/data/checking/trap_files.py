"""Pictures that are traps: bombs, cut files, odd modes, files that are no pictures at all."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def write_traps(folder: Path) -> dict[str, Path]:
    """One file for each trap, by name."""
    paths = {name: folder / file for name, file in FILES.items()}
    photo = noise_picture(96, 64)
    photo.save(folder / "whole.jpg", quality=90)
    whole = (folder / "whole.jpg").read_bytes()
    paths["cut"].write_bytes(whole[: len(whole) // 2])
    paths["cut_head"].write_bytes(whole[:12])
    paths["text"].write_text("hello", encoding="utf-8")
    paths["svg"].write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', encoding="utf-8")
    paths["empty"].write_bytes(b"")
    paths["web_page"].write_text("<!DOCTYPE html><title>404</title>", encoding="utf-8")
    paths["lfs"].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", encoding="utf-8")
    write_bomb(paths["bomb"])
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(paths["animated"], save_all=True, append_images=frames[1:])
    photo.convert("CMYK").save(paths["cmyk"])
    Image.fromarray(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)).save(paths["sixteen_bit"])
    glass = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    ImageDraw.Draw(glass).rectangle((10, 10, 20, 20), fill=(0, 0, 255, 255))
    glass.quantize(8).save(paths["palette"])
    white = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ImageDraw.Draw(white).rectangle((10, 10, 20, 20), fill=(255, 255, 255, 255))
    white.save(paths["vanishing"])
    Image.fromarray(np.full((9, 9), 70_000, dtype=np.int32)).save(paths["wide"])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(paths["turned"], exif=exif)
    Image.new("RGB", (1, 5000), "red").save(paths["strip"])
    return paths


FILES = {
    "cut": "cut.jpg", "cut_head": "cut_head.jpg", "text": "text.png", "svg": "drawing.svg", "empty": "empty.png",
    "web_page": "page.jpg", "lfs": "lfs.png", "bomb": "bomb.png", "animated": "animated.gif", "cmyk": "cmyk.jpg",
    "sixteen_bit": "sixteen.png", "palette": "palette.png", "vanishing": "vanishing.png", "turned": "turned.jpg",
    "strip": "strip.png", "wide": "wide.tif", "missing": "missing.png",
}  # fmt: skip


def noise_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth picture of random colours, which compresses as photos do."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def write_bomb(path: Path, side: int = 13_342) -> None:
    """A PNG of 178 megapixels in some 22 kB."""
    deflate = zlib.compressobj(9)
    line = bytes(side // 8 + 2)
    pixels = b"".join(deflate.compress(line) for _ in range(side)) + deflate.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*chunks, strict=True))))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
