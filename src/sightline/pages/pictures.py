"""Small copies of images as data addresses, so that a page needs no other file."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

from sightline.data.pictures.images import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PICTURE_SIDE = 360
SMALL_PICTURE_SIDE = 128


def picture_address(image: Image, max_side: int = MAX_PICTURE_SIDE) -> str:
    """A data address of the picture, at most `max_side` pixels wide and high; small ones stay exact."""
    copy = as_rgb(image).copy()
    copy.thumbnail((max_side, max_side))
    exact = max(image.size) <= SMALL_PICTURE_SIDE
    buffer = BytesIO()
    if exact:
        copy.save(buffer, format="PNG", optimize=True)
    else:
        copy.save(buffer, format="JPEG", quality=86)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
