"""Augmentation: a picture changes by seed, epoch and pixels alone, keeps its size, and never turns left into right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import to_preference_columns, to_sft_columns
from sightline.data.pictures import augmentation
from sightline.data.pictures.augmentation import NONE, POLICIES, Augment, augmented_row, augmented_samples, check_policy
from sightline.data.pictures.images import ChangedImage, open_image
from sightline.errors import ConfigError
from tests.tiny import picture, preference_rows, tiny_processor, vqa_rows

every_policy = pytest.mark.parametrize("policy", POLICIES)


def ramp(width: int, height: int) -> Image.Image:
    """Red tells how far right, green how far down."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 0 * across], axis=-1).round().astype(np.uint8))


@every_policy
def test_a_picture_changes_by_seed_epoch_and_pixels_alone(policy: str) -> None:
    first, again = (Augment(policy, 1, 2)(picture(0)).tobytes() for _ in range(2))
    assert first == again
    others = [Augment(policy, 1, epoch)(picture(0)).tobytes() for epoch in range(8)]
    assert len(set(others)) >= 7, "two epochs of RandAugment may agree"
    assert Augment(policy, 2, 2)(picture(0)).tobytes() != first


@every_policy
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 3), (64, 48)])
def test_a_picture_of_any_shape_keeps_its_size(policy: str, size: tuple[int, int]) -> None:
    for changed in augmented_samples(ramp(*size), policy, 4):
        assert (changed.size, changed.mode) == (size, "RGB")


def test_light_keeps_nine_tenths_of_the_area_unmirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "JITTER", 0)
    for changed in augmented_samples(ramp(200, 100), "light", 20):
        pixels = np.asarray(changed).astype(float)
        across = (pixels[:, -1, 0] - pixels[:, 0, 0]).mean() / 255
        down = (pixels[-1, :, 1] - pixels[0, :, 1]).mean() / 255
        assert across > 0 and down > 0, "neither mirrored nor upside down"
        assert 0.9 - 0.02 <= across * down <= 1.001


def test_a_copied_page_keeps_every_place_within_a_twentieth_of_its_longer_side() -> None:
    page = Image.new("RGB", (300, 200), "white")
    page.paste((0, 0, 0), (200, 120, 220, 140))
    for changed in augmented_samples(page, "document", 10):
        dark = np.argwhere(np.asarray(changed.convert("L")) < 100)
        assert np.abs(dark.mean(axis=0) - (129.5, 209.5)).max() < 15


def test_a_long_line_of_text_stays_in_view() -> None:
    line = Image.new("RGB", (1000, 30), "white")
    line.paste((0, 0, 0), (0, 8, 1000, 22))
    for changed in augmented_samples(line, "document", 10):
        dark = np.asarray(changed.convert("L"))[:, [5, 994]] < 128
        assert (dark.sum(axis=0) >= 10).all(), "both ends keep their letters"


def test_none_leaves_pictures_as_they_are() -> None:
    assert augmented_samples(picture(0), NONE, 2) == [picture(0)] * 2


def test_an_unknown_policy_names_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="augmentation: expected one of none, light, .*; got 'lite'. Did you mean"):
        check_policy("lite")


def test_every_image_column_of_a_row_changes_when_it_is_opened() -> None:
    change = Augment("light", 0, 0)
    row = {"image": picture(0), "images": [picture(1), picture(2)], "rejected_images": picture(3), "prompt": "what ?"}
    changed = augmented_row(row, change)
    assert changed["prompt"] == "what ?" and isinstance(row["image"], Image.Image)
    values = [changed["image"], *changed["images"], changed["rejected_images"]]
    assert all(isinstance(value, ChangedImage) for value in values)
    expected = [change(picture(seed)).tobytes() for seed in range(4)]
    assert [open_image(value, "row").tobytes() for value in values] == expected
    assert augmented_row({"images": None, "prompt": "why ?"}, change) == {"images": None, "prompt": "why ?"}


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_rows_of_one_picture_share_its_change_in_any_order(kind: str) -> None:
    from datasets import Dataset

    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    made: Any = vqa_rows(6, 2) if kind == "sft" else preference_rows(6, 2)
    convert, encode = {
        "sft": (to_sft_columns, encoder.encode_sft),
        "dpo": (to_preference_columns, encoder.encode_preferences),
    }[kind]
    rows = [augmented_row(row, Augment("light", 5, 1)) for row in convert(Dataset.from_list(made), "rows")]
    batch, turned = encode(rows), encode(rows[::-1])
    assert len(batch.image_spans) == 2
    assert sorted(batch.image_spans) == sorted(turned.image_spans)
    assert [sequence.images for sequence in batch.sequences][:6] == [(0,), (1,)] * 3
