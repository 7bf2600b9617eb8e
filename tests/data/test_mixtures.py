"""A mixture takes exactly what its shares say, by a seed, and each row trains as it would alone."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset, Image as ImageFeature, List
from PIL import Image
from trl.scripts.utils import DatasetConfig

from sightline.data.formats.columns import sft_rows
from sightline.data.formats.conversion import ConversionSettings, run_convert
from sightline.data.mixtures import Share, blend, counts_of, draw, join
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import ConfigError, DataError
from sightline.training.arguments import read_settings
from sightline.training.sft import SFTConfig


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (1.0, 3.0), (0.5, 0.0), (0.9, 0.1)])
def test_fractions_take_as_many_rows_as_trls_mixture(fractions: tuple[float, ...], tmp_path: Path) -> None:
    sizes = (20, 7)
    paths = [tmp_path / f"{size}.jsonl" for size in sizes]
    for path, size in zip(paths, sizes, strict=True):
        path.write_text("".join(json.dumps({"text": str(size)}) + "\n" for _ in range(size)))
    sources = [
        DatasetConfig("json", data_files=str(path), fraction=fraction)
        for path, fraction in zip(paths, fractions, strict=True)
    ]
    theirs = Counter(str(text) for text in trl.get_dataset(trl.DatasetMixtureConfig(sources))["train"]["text"])
    ours = counts_of(sizes, [Share(fraction) for fraction in fractions])
    assert ours == [theirs[str(size)] for size in sizes]


def test_rows_are_counted_and_sources_without_shares_give_all() -> None:
    assert counts_of([10, 20, 30], [Share(rows=5), Share(), Share(rows=90)]) == [5, 20, 90]


@pytest.mark.parametrize(
    "shares",
    [
        [Share(0.5), Share()],
        [Share(0.5), Share(rows=3)],
        [Share(0.0), Share(0.0)],
        [Share(-1.0), Share(2.0)],
        [Share(rows=0), Share()],
    ],
)
def test_shares_that_do_not_go_together_are_refused(shares: list[Share]) -> None:
    with pytest.raises(ConfigError, match="datasets: expected a fraction"):
        counts_of([10, 10], shares)


def test_the_same_seed_draws_the_same_rows_and_none_twice() -> None:
    first, again, other = draw(100, 30, 0.0, 1), draw(100, 30, 0.0, 1), draw(100, 30, 0.0, 2)
    assert first == again != other
    assert len(set(first.train)) == 30
    assert list(first.train) == sorted(first.train)


def test_more_rows_than_there_are_repeat_all_of_them_evenly() -> None:
    counts = Counter(draw(10, 25, 0.0, 0).train)
    assert sorted(counts.values()) == [2] * 5 + [3] * 5


@pytest.mark.parametrize(("size", "count"), [(100, 100), (100, 40), (10, 25)])
def test_rows_held_out_are_never_trained(size: int, count: int) -> None:
    drawn = draw(size, count, 0.2, 3)
    assert not set(drawn.train) & set(drawn.test)
    assert len(drawn.test) == round(0.2 * min(size, count))
    assert len(drawn.train) + len(drawn.test) == count


def test_parts_of_different_columns_keep_what_each_row_trains(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    turns = [{"from": role, "value": "<image>\nx" if not n else "y"} for n, role in enumerate(["human", "gpt"] * 2)]
    rows = {
        "vqa": {"image": "a.png", "question": "q", "answer": "a", "id": "1"},
        "llava": {"image": ["a.png"], "conversations": turns},
        "text": {"prompt": [{"role": "user", "content": "hi"}], "completion": [{"role": "assistant", "content": "ho"}]},
    }
    parts = []
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
        parts.append(sft_rows(read_dataset(tmp_path / f"{name}.jsonl"), name).dataset)
    vqa, llava, text = join(parts, list(rows))
    assert vqa["messages"] is None
    assert vqa["prompt"][0]["content"] == [{"type": "image", "text": None}, {"type": "text", "text": "q"}]
    assert [len(row["images"]) for row in (vqa, llava, text)] == [1, 1, 0]
    assert llava["prompt"] is None
    assert len(llava["messages"]) == 4
    assert text["prompt"][0]["content"] == [{"type": "text", "text": "hi"}]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    function = {"name": name, "parameters": {"type": "object", "properties": properties}}
    return {"type": "function", "function": function}


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


ASKED = {"role": "user", "content": "what ?"}
TOOL_ROWS: list[dict[str, Any]] = [
    {
        "image": "a.png",
        "tools": [tool("zoom", box={"type": "string"})],
        "chat_template_kwargs": {"enable_thinking": False},
        "messages": [
            ASKED,
            {"role": "assistant", "content": "", "tool_calls": [called("zoom", box="1")]},
            {"role": "tool", "name": "zoom", "content": "red"},
            {"role": "assistant", "content": "red"},
        ],
    },
    {
        "image": "a.png",
        "tools": [tool("crop", left={"type": "integer"}, top={"type": "integer"})],
        "messages": [ASKED, {"role": "assistant", "content": "red", "tool_calls": [called("crop", left=None, top=2)]}],
    },
]
PLAIN_ROW = {"image": "a.png", "messages": [ASKED, {"role": "assistant", "content": "blue"}]}


def tool_sources(folder: Path) -> dict[str, Any]:
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    (folder / "tools.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TOOL_ROWS))
    (folder / "plain.jsonl").write_text(json.dumps(PLAIN_ROW) + "\n")
    (folder / "vqa.jsonl").write_text(json.dumps({"image": "a.png", "question": "what ?", "answer": "red"}) + "\n")
    return {name: str(folder / f"{name}.jsonl") for name in ("tools", "plain", "vqa")}


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What a template reads of a row, contents as text."""
    turns = row.get("messages") or [*row["prompt"], *row["completion"]]
    texts = [
        "".join(part["text"] or "" for part in turn["content"])
        if isinstance(turn["content"], list)
        else turn["content"]
        for turn in turns
    ]
    messages = [{**turn, "content": text} for turn, text in zip(turns, texts, strict=True)]
    return {"messages": messages, **{name: row.get(name) for name in ("tools", "chat_template_kwargs")}}


@pytest.mark.parametrize("other", ["plain", "vqa"])
@pytest.mark.parametrize("tools_first", [True, False])
def test_a_mixture_keeps_tools_calls_and_settings_of_templates(tmp_path: Path, other: str, tools_first: bool) -> None:
    names = tool_sources(tmp_path)
    order = ["tools", other] if tools_first else [other, "tools"]
    rows = list(join([sft_rows(read_dataset(names[name]), name).dataset for name in order], order))
    kept, (rest,) = (rows[:2], rows[2:]) if tools_first else (rows[1:], rows[:1])
    assert [said(row) for row in kept] == [said(row) for row in TOOL_ROWS]
    assert (rest["tools"], rest["chat_template_kwargs"]) == (None, None)
    assert all(turn.keys() == {"role", "content"} for turn in said(rest)["messages"])


def test_a_streamed_mixture_keeps_them_too(tmp_path: Path) -> None:
    names = tool_sources(tmp_path)
    parts = [sft_rows(stream_dataset(names[name]), name).dataset for name in ("tools", "plain")]
    mixed = pickle.loads(pickle.dumps(blend(parts, [0.5, 0.5], 0)))  # as a worker that starts anew is given it
    rows = {json.dumps(said(row), sort_keys=True) for row in mixed}
    assert rows == {json.dumps(said(row), sort_keys=True) for row in [*TOOL_ROWS, PLAIN_ROW]}


def test_tools_survive_parquet_read_whole_and_streamed(tmp_path: Path) -> None:
    names = tool_sources(tmp_path)
    run_convert(ConversionSettings(names["tools"], str(tmp_path / "out.parquet"), "parquet"))
    run_convert(ConversionSettings(str(tmp_path / "out.parquet"), str(tmp_path / "back.jsonl"), "trl-sft"))
    for read, name in ((read_dataset, "out.parquet"), (stream_dataset, "out.parquet"), (read_dataset, "back.jsonl")):
        rows = sft_rows(read(tmp_path / name), name).dataset
        told = [said(row) for row in rows]
        if name == "back.jsonl":  # whose writer leaves fields without a value out
            told[1]["messages"][1]["tool_calls"][0]["function"]["arguments"]["left"] = None
        assert told == [said(row) for row in TOOL_ROWS]


def test_parts_that_do_not_fit_are_named() -> None:
    asked, said = ([{"role": role, "content": "a"}] for role in ("user", "assistant"))
    parts = [Dataset.from_dict({"prompt": ["a"], "completion": ["b"]})]
    parts.append(Dataset.from_dict({"prompt": [asked], "completion": [said]}))
    with pytest.raises(DataError, match="datasets: expected sources whose rows fit into one table, got a: prompt"):
        join(parts, ["a", "b"])


def test_equal_parts_stay_as_they_are() -> None:
    parts = [Dataset.from_dict({"messages": [[{"role": "user", "content": "a"}]], "id": [1]})] * 2
    assert join(parts, ["a", "b"]).column_names == ["messages", "id"]


def test_embedded_pictures_go_along() -> None:
    closed = ImageFeature(decode=False)
    asked = [{"role": "user", "content": "a"}]
    one = Dataset.from_dict({"prompt": [asked], "image": [{"bytes": b"1", "path": None}]})
    two = Dataset.from_dict({"prompt": [asked], "images": [[{"bytes": b"2", "path": None}]]})
    parts = [one.cast_column("image", closed), two.cast_column("images", List(closed))]
    assert [row["images"][0]["bytes"] for row in join(parts, ["a", "b"])] == [b"1", b"2"]


def settings(tmp_path: Path, sources: Any) -> Any:
    recipe = tmp_path / "mix.yaml"
    recipe.write_text(json.dumps({"datasets": sources, "output_dir": str(tmp_path / "run")}))
    return read_settings(["--config", str(recipe)], SFTConfig).mixture.datasets


def test_sources_of_a_recipe_are_read_with_their_names_checked(tmp_path: Path) -> None:
    (source,) = settings(tmp_path, [{"path": "a.jsonl", "fraction": "0.7", "rows": None}])
    assert (source.path, source.fraction, source.split) == ("a.jsonl", 0.7, "train")
    with pytest.raises(ConfigError, match="datasets, source 1: unknown key 'fractions'. Did you mean 'fraction'?"):
        settings(tmp_path, [{"path": "a.jsonl", "fractions": 1}])
    with pytest.raises(ConfigError, match=r"datasets, source 1: expected a mapping with a path, got 'a.jsonl'"):
        settings(tmp_path, ["a.jsonl"])
