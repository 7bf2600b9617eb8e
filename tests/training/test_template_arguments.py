"""Tools and keywords of templates: which of them rows with images are rendered with is TRL's rule, and is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset

import sightline
from tests.tiny import SHORT_RUN, TEMPLATE, picture, tiny_llava, tiny_processor

TOOLS = [{"type": "function", "function": {"name": "zoom", "description": "look", "parameters": {}}}]
ASKED, SAID = {"role": "user", "content": "what is this ?"}, {"role": "assistant", "content": "a red circle"}
OTHER = {"role": "assistant", "content": "blue"}
FORMS = {
    "messages": {"messages": [ASKED, SAID]},
    "completion": {"prompt": [ASKED], "completion": [SAID]},
    "dpo": {"prompt": [ASKED], "chosen": [SAID], "rejected": [OTHER]},
}
WITH_KEYWORDS = (
    "{% if tools %}{{ 'word ' }}{% endif %}{% if think is defined %}{{ 'two ' * think }}{% endif %}" + TEMPLATE
)


def trainer(folder: Path, form: str, library: Any, columns: dict[str, Any], **given: Any) -> Any:
    rows = [{"images": [picture(index)], **FORMS[form], **columns} for index in range(3)]
    rows[1] |= dict.fromkeys(set(columns) & {"tools"})
    preferences = form == "dpo"
    settings = {"per_device_train_batch_size": 3, "train_sampling_strategy": "sequential", "max_steps": 1}
    processor = tiny_processor()
    processor.chat_template = WITH_KEYWORDS
    config = library.DPOConfig if preferences else library.SFTConfig
    return (library.DPOTrainer if preferences else library.SFTTrainer)(
        model=tiny_llava(1),
        args=config(output_dir=str(folder), **{**SHORT_RUN, **settings, **given}),
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        **({"ref_model": tiny_llava(1)} if preferences else {}),
    )


def lengths(one: Any) -> list[int]:
    return next(iter(one.get_train_dataloader()))["attention_mask"].sum(1).tolist()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_tools_beside_images_are_not_rendered_and_the_run_says_so(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = trainer(tmp_path, form, sightline, {"tools": TOOLS})
    assert "tools: 2 of 3 rows of train_dataset have them, and they are not rendered" in capsys.readouterr().err
    kept = lengths(ours)[: 3 * (1 + (form == "dpo"))]
    assert kept == lengths(trainer(tmp_path, form, trl, {"tools": TOOLS}))
    assert kept == lengths(trainer(tmp_path, form, sightline, {}))
    assert "tools" not in capsys.readouterr().err


KEPT = {"remove_unused_columns": False}


@pytest.mark.parametrize(("form", "kept"), [("messages", {}), ("completion", {}), ("dpo", {}), ("completion", KEPT)])
def test_keywords_of_templates_count_where_they_do_in_trl(
    form: str, kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"chat_template_kwargs": {"think": 2}}
    ours = trainer(tmp_path, form, sightline, columns, **kept)
    said = "chat_template_kwargs: 3 of 3 rows of train_dataset have them" in capsys.readouterr().err
    rendered = form == "dpo" or bool(kept)
    assert said is not rendered
    assert ours.route.route == "mask"
    found = lengths(ours)
    assert found == lengths(trainer(tmp_path, form, trl, columns, **kept))
    bare = lengths(trainer(tmp_path, form, sightline, {}))
    assert [length - 2 * rendered for length in found] == bare
