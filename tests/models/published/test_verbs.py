"""Each verb takes a folder in its authors' layout by name: ask, eval, preview and training, to an ordinary folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from markupsafe import escape

from sightline.cli.main import run
from sightline.models.load import load_vlm
from tests.models.published.makers import MAKERS
from tests.tiny import picture


@dataclass(frozen=True)
class Form:
    """What a preview says of how a model is asked."""

    prompt: str
    stops: str
    settings: str
    picture: str = "at <image> (id "


LLAVA = Form(
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: <image>\n{question} ASSISTANT:",
    "</s> (id 2)",
    "do_sample True, max_new_tokens 512, temperature 0.2",
)
DEEPSEEK_VL = Form(
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language.\n\nUser: <image_placeholder>"
    "{question}\n\nAssistant:",
    "<\uff5cend\u2581of\u2581sentence\uff5c> (id 2)",
    "do_sample False, max_new_tokens 512",
    "at <image_placeholder> (id ",
)
QWEN_SAMPLING = "do_sample True, max_new_tokens 512, max_window_size 6144, top_k 0, top_p 0.3"
MOONDREAM = Form(
    "<|endoftext|><|image|>\n\nQuestion: {question}\n\nAnswer:",
    "<|endoftext|> (id 315)",
    "do_sample False, max_new_tokens 256",
    "at <|image|> (id ",
)
UNNAMED = "behind the start token, and not named in the prompt"
FORMS = {
    "llava 1.5": LLAVA,
    "llava 1.6": LLAVA,
    "llava 1.6 34B": replace(
        LLAVA,
        prompt="<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\n{question}<|im_end|>"
        "<|im_start|>assistant\n",
        stops="</s> (id 2), <|im_end|> (id 4)",
    ),
    "deepseek-vl 1.3B": DEEPSEEK_VL,
    "deepseek-vl 7B": DEEPSEEK_VL,
    "deepseek-vl base": replace(DEEPSEEK_VL, prompt="<image_placeholder>{question}"),
    "yi-vl": Form(
        "\n\n### Human: <image_placeholder>\n{question}\n### Assistant:",
        "</s> (id 2), ### (id 3)",
        "do_sample True, max_new_tokens 1024, temperature 0.2",
        "at <image_placeholder> (id ",
    ),
    "moondream2 A": MOONDREAM,
    "moondream2 B": MOONDREAM,
    "moondream2 C": replace(MOONDREAM, settings="do_sample False, max_new_tokens 768"),
    "moondream2 D": Form(
        "<|endoftext|><|md_reserved_19|><|md_reserved_0|>query<|md_reserved_1|>{question}<|md_reserved_2|>",
        "<|endoftext|> (id 0)",
        "do_sample False, max_new_tokens 768",
        "at <|md_reserved_19|> (id 20)",
    ),
    "qwen-vl": Form("<img><imgpad></img>{question}", "<|endoftext|> (id 272)", QWEN_SAMPLING, "at <imgpad> (id "),
    "qwen-vl-chat": Form(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nPicture 1: <img><imgpad></img>\n"
        "{question}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|> (id 274), <|im_start|> (id 273), <|endoftext|> (id 272)",
        QWEN_SAMPLING,
        "at <imgpad> (id ",
    ),
    "cogvlm base": Form("<s>{question}", "</s> (id 2)", "max_length 2048", UNNAMED),
    "cogvlm chat": Form("<s>Question: {question} Answer:", "</s> (id 2)", "max_length 2048", UNNAMED),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def named(request):
    return request.param


@pytest.fixture(scope="module")
def folder(named, tmp_path_factory):
    return MAKERS[named](tmp_path_factory.mktemp("published") / "model")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    place = tmp_path_factory.mktemp("rows")
    lines = []
    for index in range(4):
        picture(index).save(place / f"{index}.png")
        lines.append({"image": f"{index}.png", "question": "Is it red?", "answer": "yes" if index % 2 else "no"})
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return place / "rows.jsonl"


@pytest.mark.slow
def test_ask_says_what_the_model_says_to_the_processors_prompt(folder, rows, capsys):
    loaded = load_vlm(folder, device="cpu")
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is it red?"}]}]
    text = loaded.processor.apply_chat_template(asked, add_generation_prompt=True)
    inputs = loaded.processor(text=[text], images=[[picture(0)]], return_tensors="pt", padding=True)
    said = loaded.model.generate(
        **inputs.to(dtype=loaded.model.dtype),
        max_new_tokens=8,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
    )[:, inputs["input_ids"].shape[1] :]
    (expected,) = loaded.processor.batch_decode(said, skip_special_tokens=True)
    capsys.readouterr()
    place = str(rows.parent / "0.png")
    assert run(["ask", str(folder), place, "Is it red?", "--max_new_tokens", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == expected.strip().removesuffix("###").strip()


@pytest.mark.slow
def test_eval_answers_its_questions(folder, rows, tmp_path):
    asked = ["eval", str(folder), "--data", str(rows), "--limit", "4", "--output_dir", str(tmp_path / "out")]
    assert run(asked) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert next(iter(results["tasks"].values()))["n"] == 4


@pytest.mark.slow
def test_preview_shows_how_the_model_is_asked(folder, named, rows, tmp_path, capsys):
    """The prompt of its authors, where the picture stands in it, what ends an answer, how they let it answer."""
    page = tmp_path / "page.html"
    capsys.readouterr()
    assert run(["data", "preview", str(rows), "--model", str(folder), "--output_path", str(page)]) == 0
    asked = FORMS[named]
    told = capsys.readouterr().out.partition("How the model is asked")[2].replace("\N{RETURN SYMBOL}", "")
    for said in (asked.prompt, asked.picture, asked.stops, asked.settings):
        assert said in told
    assert all(str(escape(line)) in page.read_text() for line in asked.prompt.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--use_peft"]], ids=["whole", "adapter"])
def test_sft_trains_it_and_what_is_saved_answers_and_is_an_ordinary_folder(folder, rows, tmp_path, more):
    trained = ["sft", str(folder), str(rows), "--max_steps", "2", "--output_dir", str(tmp_path / "out"), *more]
    assert run([*trained, "--per_device_train_batch_size", "2", "--report_to", "none", "--bf16", "false"]) == 0
    saved = load_vlm(tmp_path / "out", device="cpu")
    assert saved.adapted == bool(more)
    if saved.adapted:
        assert run(["merge", str(tmp_path / "out"), str(tmp_path / "merged")]) == 0
        stops = load_vlm(folder, device="cpu").model.generation_config.eos_token_id
        assert load_vlm(tmp_path / "merged", device="cpu").model.generation_config.eos_token_id == stops
    assert run(["ask", str(tmp_path / "out"), str(rows.parent / "0.png"), "Is it red?", "--max_new_tokens", "8"]) == 0
