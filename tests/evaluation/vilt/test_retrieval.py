"""Recalls worked out by hand, chance by counting, and a contact sheet that shows what was found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from sightline.data.vilt.captions import CaptionedPicture
from sightline.errors import DataError, InputError
from sightline.evaluation.vilt.retrieval import (
    TO_PICTURES,
    TO_TEXTS,
    chance_of,
    evaluate_retrieval,
    recalls_of,
    retrieval_table,
)
from sightline.evaluation.vilt.search import contact_sheet, draw_alignment, rank_captions, search
from sightline.models.vilt.alignment import Alignment
from sightline.models.vilt.heads import build_ranking
from sightline.models.vilt.matching import PairScorer
from tests.models.vilt.tiny_vilt import TEXTS, tiny_start


@pytest.fixture(scope="module")
def scorer():
    start = tiny_start()
    return PairScorer(build_ranking(start), start.processor)


@pytest.fixture
def folder(tmp_path):
    for index, colour in enumerate(["red", "blue", "green"]):
        Image.new("RGB", (40, 32), colour).save(tmp_path / f"{index}.png")
    return tmp_path


def test_recalls_of_two_pictures_with_three_texts():
    """Texts 0 and 1 describe picture 0, text 2 picture 1.

    To pictures: text 0 finds its own first (3 > 1), text 1 second (1 < 2), text 2 first: 2 of 3 at depth 1.
    To texts: picture 0 ranks text 0 first: found. Picture 1 ranks text 1 (2) level with its own (2): a tie counts
    against it, so it is found at depth 5 alone.
    """
    scores = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 2.0]])
    recalls = recalls_of(scores, np.array([0, 0, 1]))
    assert recalls[TO_PICTURES, 1].value == pytest.approx(2 / 3)
    assert recalls[TO_PICTURES, 5].value == 1
    assert recalls[TO_TEXTS, 1].value == pytest.approx(1 / 2)
    assert recalls[TO_TEXTS, 5].value == 1
    assert recalls[TO_PICTURES, 1].clusters == 2


def test_a_pair_that_was_not_scored_is_not_found():
    scores = np.array([[-np.inf, 1.0], [0.5, -np.inf]])
    assert all(interval.value == 0 for interval in recalls_of(scores, np.array([0, 1])).values())


def test_chance_of_texts_is_that_of_draws():
    """Two pictures with 2 and 1 of three texts: one draw finds 2/3 and 1/3 of the time."""
    chance = chance_of(2, np.array([2, 1]))
    assert chance[TO_TEXTS, 1] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert chance[TO_TEXTS, 5] == 1 and chance[TO_PICTURES, 1] == pytest.approx(1 / 2)
    # 12 texts, 2 of them right, 5 drawn: by counting all draws.
    draws = list(combinations(range(12), 5))
    counted = sum(0 in draw or 1 in draw for draw in draws) / len(draws)
    assert chance_of(6, np.full(6, 2))[TO_TEXTS, 5] == pytest.approx(counted)


def test_a_shortlist_of_everything_loses_nothing(scorer, folder):
    rows = [
        CaptionedPicture(f"row {index}", str(folder / f"{index}.png"), str(index), (TEXTS[index],))
        for index in range(3)
    ]
    exact = evaluate_retrieval(scorer, "tiny", rows)
    listed = evaluate_retrieval(scorer, "tiny", rows, candidates=3, compare=True)
    assert listed.recalls == exact.recalls == listed.exact
    table = retrieval_table(listed)
    assert table.header[-1] == "loss" and all(row[-1] == "0.0 points" for row in table.rows)
    assert [row[0] for row in table.rows][:2] == ["text to pictures @1", "text to pictures @5"]


def test_a_search_ranks_all_pictures_and_names_those_it_left_out(scorer, folder):
    (folder / "broken.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"broken\.png.* no picture that Pillow can read.*--skip_bad_rows"):
        search(scorer, folder, "a red circle")
    result = search(scorer, folder, "a red circle", skip_bad_rows=True)
    assert sorted(found.name for found in result.found) == [str(folder / f"{index}.png") for index in range(3)]
    assert [found.score for found in result.found] == sorted((found.score for found in result.found), reverse=True)
    assert len(result.unreadable) == 1 and "broken.png" in result.unreadable[0]
    assert len(search(scorer, folder, "a red circle", 2, skip_bad_rows=True).found) == 2
    page = contact_sheet(result, "tiny", 2)
    assert "a red circle" in page and page.count("data:image/png;base64") == 2 and "1 files could not be read" in page


def test_a_search_without_pictures_is_refused(scorer, tmp_path):
    with pytest.raises(InputError, match="expected pictures"):
        search(scorer, tmp_path, "a")
    with pytest.raises(InputError, match="There is no folder"):
        search(scorer, tmp_path / "none", "a")


def test_captions_are_ranked_as_the_scores_say(scorer, folder):
    picture = Image.open(folder / "0.png").convert("RGB")
    ranked = rank_captions(scorer, picture, TEXTS)
    assert {found.name for found in ranked} == set(TEXTS)
    assert [found.score for found in ranked] == sorted((found.score for found in ranked), reverse=True)


def test_a_drawing_shows_the_picture_and_each_word(tmp_path):
    alignment = Alignment(np.zeros((32, 48, 3), np.uint8), ("a", "cat"), (np.eye(4, 6), np.ones((4, 6))), 0.5)
    draw_alignment(alignment, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as drawn:
        assert drawn.format == "PNG" and drawn.width > drawn.height
