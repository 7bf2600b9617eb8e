"""Prompts are the peers' to the letter: every case of ../shared/conformance/prompts.json, without exception."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.sources.stored import Row
from sightline.evaluation.tasks.registry import TASKS, load_task
from sightline.scoring.records import Item

# (peer, id of the case) to (task, name of the prompt).
VLMEVALKIT = {
    "mmbench_hint": ("mmbench_dev_en", "vlmevalkit"),
    "mmbench_nohint": ("mmbench_dev_en_v11", "vlmevalkit"),
    "scienceqa_hint": ("scienceqa_img", "vlmevalkit"),
    "mmmu_two_images": ("mmmu_val", "vlmevalkit"),
    "docvqa": ("docvqa_val", "vlmevalkit"),
    "ocrbench": ("ocrbench", "vlmevalkit"),
    "mme": ("mme", "vlmevalkit"),
    "pope": ("pope", "vlmevalkit"),
    "coco_val": ("coco_caption_vlmevalkit", "vlmevalkit"),
    "qwen2vl_mmmu": ("mmmu_val", "model-card:qwen2-vl"),
    "qwen2vl_mcq_hint": ("mmbench_dev_en", "model-card:qwen2-vl"),
    "qwen2vl_yorn": ("pope", "model-card:qwen2-vl"),
    "qwen2vl_vqa": ("docvqa_val", "model-card:qwen2-vl"),
}
LMMS_EVAL = {
    "mmmu_val": ("mmmu_val", "lmms-eval"),
    "mmbench_en_dev": ("mmbench_dev_en", "lmms-eval"),
    "ai2d": ("ai2d_masked", "lmms-eval"),
    "scienceqa_img": ("scienceqa_img", "lmms-eval"),
    "ocrbench": ("ocrbench", "lmms-eval"),
    "mme": ("mme", "lmms-eval"),
    "mathvista_testmini": ("mathvista_testmini", "lmms-eval:{}"),
}
# Columns that prompts do not show, and that a row must have to be an item.
UNSHOWN = {
    "index": "1", "id": "validation_Art_1", "question_id": "count/1.png", "questionId": 1, "pid": "1",
    "answer": "A", "category": "c", "question_type": "Regular Text Recognition",
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A picture that is only named."""

    key: str

    def open(self) -> Image.Image:
        raise AssertionError("a prompt opens no picture")


def cases(shared: Path, peer: str) -> list[dict[str, Any]]:
    found = json.loads((shared / "conformance" / "prompts.json").read_text())["cases"]
    assert {case["peer"] for case in found} == {"VLMEvalKit", "lmms-eval 0.7.3"}
    return [case for case in found if case["peer"].startswith(peer)]


def item_of(task: str, kind: str, cells: dict[str, Any]) -> Item:
    unshown = {name: value for name, value in UNSHOWN.items() if name not in cells}
    return next(load_task(task).read(kind, [Row("case row 1", 1, {**unshown, **cells})]))


def messages(item: Item, prompt: str) -> list[dict[str, str]]:
    """The prompt as a harness would send it: pictures at their first marks, others first, texts between."""
    places = {number: prompt.find(f"<image {number}>") for number in range(1, len(item.pictures) + 1)}
    parts = [{"type": "image", "value": item.pictures[n - 1].key} for n, at in places.items() if at < 0]
    start = 0
    for number, at in sorted(((n, at) for n, at in places.items() if at >= 0), key=lambda place: place[1]):
        parts += [
            {"type": "text", "value": prompt[start:at]},
            {"type": "image", "value": item.pictures[number - 1].key},
        ]
        start = at + len(f"<image {number}>")
    return [part for part in [*parts, {"type": "text", "value": prompt[start:]}] if part["value"]]


def paths(cell: str) -> tuple[str, ...]:
    return tuple(ast.literal_eval(cell)) if cell.startswith("[") else (cell,)


def test_vlmevalkit_sends_the_same_texts_and_pictures_in_the_same_order(shared: Path) -> None:
    seen = set()
    for case in cases(shared, "VLMEvalKit"):
        task, origin = VLMEVALKIT[case["id"]]
        cells = {name: "" if value is None else str(value) for name, value in case["row"].items()}
        item = item_of(task, "tsv", {**cells, "image": tuple(Named(path) for path in paths(cells["image_path"]))})
        expected = [
            {"type": message["type"], "value": value}
            for message in case["messages"]
            for value in (paths(message["value"]) if message["type"] == "image" else (message["value"],))
        ]
        assert messages(item, load_task(task).prompts[origin](item)) == expected, case["id"]
        seen.add(case["id"])
    assert seen == set(VLMEVALKIT)


def test_lmms_eval_sends_the_same_texts(shared: Path) -> None:
    found = cases(shared, "lmms-eval")
    for case in found:
        task, origin = LMMS_EVAL[case["task"]]
        shot = case["lmms_eval_specific_kwargs"].get("shot_type", "")
        picture = Named("x.png")
        cells = {**case["doc"], "image": picture, "image_1": picture, "decoded_image": picture}
        if case["task"] == "mathvista_testmini":
            cells["answer"] = (case["doc"]["choices"] or ["1"])[0]
        item = item_of(task, "hub", cells)
        assert load_task(task).prompts[origin.format(shot)](item) == case["text"], case["id"]
    assert {case["task"] for case in found} == set(LMMS_EVAL)


def test_textvqa_loses_capitals_in_lmms_eval_and_gains_ocr_tokens_in_llava() -> None:
    task = load_task("textvqa_val")
    item = Item("1", "row", "What does Rome's sign say?", facts={"ocr_tokens": ("ROMA", "EXIT")})
    ending = "\nAnswer the question using a single word or phrase."
    assert task.prompts["lmms-eval"](item) == f"What does rome's sign say?{ending}"
    assert task.prompts["model-card:llava-1.5"](item) == (
        f"What does Rome's sign say?\nReference OCR token: ROMA, EXIT{ending}"
    )


@pytest.mark.parametrize("precision", [1, 2])
def test_mathvista_prompts_that_the_publisher_ships_are_built_anew_where_a_copy_lacks_them(precision: int) -> None:
    task = load_task("mathvista_testmini")
    example = {1: "one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4,"}
    example[2] = "two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45,"
    facts = {"question_type": "free_form", "answer_type": "float", "precision": precision, "unit": "m"}
    assert task.prompts["official"](Item("1", "row", "How long?", facts=facts)) == (
        f"Hint: Please answer the question requiring a floating-point number with {example[precision]} at the end.\n"
        "Question: How long? (Unit: m)"
    )


@pytest.mark.parametrize("name", TASKS)
def test_every_record_is_whole(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.default_prompt in task.prompts
    assert all(isinstance(prompt(task.example), str) for prompt in task.prompts.values())
    assert task.default_profile in task.scorers
    assert task.scorers.keys() == task.metrics.keys()
    assert all(task.metrics.values())
    assert task.licence
    assert all(len(source.revision) in (0, 40) and len(source.md5) in (0, 32) for source in task.sources)


CHINESE = Item("1", "row", "图中是什么？", options=("猫", "狗"), facts={"hint": ""})


@pytest.mark.parametrize("edition", ["", "_vanilla", "_v11", "_v11_vanilla"])
def test_chinese_mmbench_ends_as_the_peers_end_it(edition: str) -> None:
    """lmms-eval 0.7.3 mmbench_cn_dev.yaml; LLaVA model_vqa_mmbench.py --lang cn; VLMEvalKit qwen2_vl/prompt.py."""
    prompts = load_task(f"mmbench_dev_cn{edition}").prompts
    options = "A. 猫\nB. 狗\n"
    assert {name: prompt(CHINESE) for name, prompt in prompts.items()} == {
        "lmms-eval": f"图中是什么？ There are several options:\n{options}\n请直接使用所提供的选项字母作为答案回答。",
        "model-card:llava-1.5": f"图中是什么？\n{options}请直接回答选项字母。",
        "model-card:qwen2-vl": f"Question: 图中是什么？\nOptions:\n{options}请直接回答选项字母。",
        "vlmevalkit": f"Question: 图中是什么？\nOptions:\n{options}"
        "Please select the correct answer from the options above. \n",
    }


@pytest.mark.parametrize("task", ["mmbench_dev_en", "ai2d_masked", "scienceqa_img"])
def test_qwen2_vl_is_asked_in_chinese_wherever_a_question_has_chinese_characters(task: str) -> None:
    prompt = load_task(task).prompts["model-card:qwen2-vl"]
    for item in (
        CHINESE,
        Item("1", "row", "What?", options=("cat", "狗")),
        Item("1", "row", "?", (), ("a", "b"), facts={"hint": "看"}),
    ):
        assert prompt(item).endswith("\n请直接回答选项字母。"), item
    assert prompt(Item("1", "row", "Où?", options=("là", "ハ"))).endswith(
        "\nPlease select the correct answer from the options above."
    )


def test_qwen2_vl_is_asked_mmmu_in_english_whatever_the_question_is() -> None:
    """VLMEvalKit's _build_mmmu_prompt looks for no characters."""
    prompt = load_task("mmmu_val").prompts["model-card:qwen2-vl"]
    assert prompt(CHINESE).endswith("\nPlease select the correct answer from the options above.")


def test_an_english_question_of_a_chinese_edition_is_asked_as_the_edition_is() -> None:
    prompts = load_task("mmbench_dev_cn").prompts
    item = Item("1", "row", "What?", options=("a", "b"), facts={"hint": ""})
    assert prompts["lmms-eval"](item).endswith("请直接使用所提供的选项字母作为答案回答。")
    assert prompts["model-card:qwen2-vl"](item).endswith("from the options above.")
