"""Pictures of the documentation are drawn from the code that they show."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from tests.layers import ROWS
from tests.layers_picture import PICTURE, draw_layers

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_of_layers_is_drawn_from_the_rows_that_are_enforced():
    assert PICTURE.read_text(encoding="utf-8") == draw_layers(), "run `make docs`"


def test_the_picture_of_layers_names_every_layer_and_keeps_words_inside_their_boxes():
    root = ElementTree.fromstring(draw_layers())
    texts = [(float(text.get("x", 0)), text.text or "") for text in root.iter(f"{SVG}text")]
    words = " ".join(text for _, text in texts).replace(",", " ").replace(".", " ").split()
    assert [name for row in ROWS for name in row if name not in (*words, "__main__")] == []
    assert [text for left, text in texts if left + 6.6 * len(text) > 900] == []
