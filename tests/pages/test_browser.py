"""The samples of a report: each under its status, and no more of them, or of pictures, than a page should carry."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from sightline.data.pictures.images import opened
from sightline.evaluation.samples import Sample
from sightline.evaluation.shown_samples import shown_answer, shown_sample, status_of
from sightline.pages import browser as module
from sightline.pages.browser import STATUSES, ShownSample, browser, browser_json, choose_evenly, spread
from tests.evaluation.comparison.test_run import sample


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"score": 1.0}, "right"),
        ({"score": 0.3}, "partly"),
        ({"score": 0.0}, "wrong"),
        ({"parsed": None}, "unparsed"),
        ({"error": "timed out", "parsed": None}, "error"),
    ],
)
def test_every_sample_has_one_status(change: dict[str, Any], status: str) -> None:
    assert status_of(replace(sample(0, 0), **change)) == status and status in STATUSES


def test_places_are_spread_evenly() -> None:
    assert spread(range(100), 4) == [0, 25, 50, 75]
    assert spread([3, 5], 4) == [3, 5]
    assert spread([], 4) == spread([1], 0) == []


def test_rare_tags_are_kept_whole_and_the_others_share_what_is_left() -> None:
    tags = ["right"] * 50 + ["wrong"] * 50 + ["unparsed"] * 2
    chosen = choose_evenly(tags, 22)
    assert [sum(tags[place] == tag for place in chosen) for tag in ("right", "wrong", "unparsed")] == [10, 10, 2]
    assert chosen == sorted(chosen) and choose_evenly(tags, 1000) == list(range(102))


def shown(count: int, picture: str = "") -> list[ShownSample]:
    samples: list[Sample] = [sample(index, index % 2, picture=picture) for index in range(count)]
    return [shown_sample(one, status_of(one), [shown_answer(one)]) for one in samples]


def test_a_page_says_how_many_samples_and_pictures_it_leaves_out() -> None:
    pictures = {f"picture {index}": opened(Image.new("RGB", (4, 4), (index, 0, 0))) for index in range(20)}
    block = browser(shown(20), STATUSES, pictures, max_pictures=6, max_samples=10)
    assert len(block.samples) == 10 and len(block.pictures) == 6
    assert block.caption.startswith("10 of 20 samples are on this page. 6 of 10 pictures are.")
    assert block.filters == (("right", "Right"), ("wrong", "Wrong"))
    assert browser(shown(20), STATUSES, pictures).caption == ""


def test_pictures_that_several_samples_share_are_carried_once_and_leave_room_for_others() -> None:
    same = {"one": opened(Image.new("RGB", (4, 4)))}
    assert len(browser(shown(9, "one"), STATUSES, same, max_pictures=3).pictures) == 1
    mixed = [*shown(40, "one"), *shown(3)]
    pictures = same | {f"picture {index}": opened(Image.new("RGB", (4, 4))) for index in range(3)}
    assert len(browser(mixed, STATUSES, pictures, max_pictures=4).pictures) == 4


def test_pictures_beyond_the_size_of_a_page_are_left_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = {f"picture {index}": opened(Image.new("RGB", (4, 4), (index, 0, 0))) for index in range(20)}
    whole = browser(shown(20), STATUSES, pictures).pictures
    monkeypatch.setattr(module, "MAX_PICTURE_BYTES", sum(map(len, whole.values())) // 2)
    assert list(browser(shown(20), STATUSES, pictures).pictures) == list(whole)[::2]


def test_texts_cannot_leave_their_script_element() -> None:
    hostile = replace(sample(0, 1), prediction="</script><script>alert(1)</script>")
    block = browser([shown_sample(hostile, "right", [shown_answer(hostile)])], STATUSES, {})
    written = browser_json(block)
    assert "<" not in written and json.loads(written)["samples"][0]["answers"][0]["text"] == hostile.prediction
