"""The record of loading options: what it refuses, what it keeps, and how settings of processors are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.errors import ConfigError, InputError
from sightline.settings.loading import LoadingOptions, joined_settings, read_processor_settings, read_template


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dtype": "float8"}, r"dtype: expected one of auto, bfloat16, float16, float32; got 'float8'"),
        ({"device": "gpu"}, r"device: expected cpu, cuda, cuda:N, mps, xpu or xpu:N; got 'gpu'"),
        ({"device": "cuda:-1"}, r"got 'cuda:-1'"),
        ({"device_map": "balanced"}, r"device_map: expected auto; got 'balanced'"),
        ({"device": "cpu", "device_map": "auto"}, r"device and device_map exclude each other"),
        ({"load_in_4bit": True, "load_in_8bit": True}, r"load_in_4bit and load_in_8bit exclude each other"),
        ({"attn_implementation": "spda"}, r"attn_implementation: expected one of eager, sdpa.* Did you mean 'sdpa'"),
        ({"bnb_4bit_quant_type": "int4"}, r"bnb_4bit_quant_type: expected one of nf4, fp4"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LoadingOptions(**given)


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.settings.early.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"load_in_8bit true needs bitsandbytes.* 'sightline\[quantized\]'"):
        LoadingOptions(load_in_8bit=True)


def test_only_what_is_not_at_its_default_is_given() -> None:
    assert LoadingOptions().given == {}
    options = LoadingOptions(dtype="bfloat16", processor={"max_pixels": 4})
    assert options.given == {"dtype": "bfloat16", "processor": {"max_pixels": 4}}


def test_options_are_refused_by_their_names_but_those_that_are_let() -> None:
    LoadingOptions(device="cpu").refuse("No.", but=("device",))
    with pytest.raises(ConfigError, match=r"^dtype, max_pixels: No\."):
        LoadingOptions(dtype="float16", device="cpu", processor={"max_pixels": 4}).refuse("No.", but=("device",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("max_patches=6,do_resize=false", {"max_patches": 6, "do_resize": False}),
        (
            "size={height: 448, width: 448}, image_mean=[0.5, 0.5, 0.5]",
            {"size": {"height": 448, "width": 448}, "image_mean": [0.5, 0.5, 0.5]},
        ),
        ('{"size": 224}', {"size": 224}),
    ],
)
def test_settings_of_processors_are_read_as_written(text: str, expected: dict[str, Any]) -> None:
    assert read_processor_settings(text) == expected


@pytest.mark.parametrize("text", ["max_patches", "[1, 2]", "a=[1", "{a: 1"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="processor_settings: expected name=value"):
        read_processor_settings(text)


def test_a_setting_given_twice_has_one_value() -> None:
    assert joined_settings({"size": None, "max_pixels": 3}, {"max_pixels": 3}) == {"max_pixels": 3}
    with pytest.raises(ConfigError, match="max_pixels: expected one value, got 3, and 4"):
        joined_settings({"max_pixels": 3}, {"max_pixels": 4})


def test_a_template_is_a_file_with_text(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    for content, message in ((None, "is not there"), (b"", "is empty"), (b"\xff\xfe", "is not UTF-8")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_template(str(path))
    with pytest.raises(InputError, match="is a folder"):
        read_template(str(tmp_path))
    path.write_text("{{ messages }}")
    assert read_template(str(path)) == "{{ messages }}"
