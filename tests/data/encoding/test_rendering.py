"""What a row must say, in each of its answers."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset

from sightline.data.encoding.checks import check_rows
from sightline.data.encoding.prompts import check_template, render_prompt
from sightline.data.encoding.rendering import render_columns, render_messages, require_row_words, require_words
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.errors import DataError, InputError
from sightline.types import Question
from tests.tiny import tiny_processor


def test_each_of_several_rejected_answers_says_something() -> None:
    row = {"prompt": "what ?", "chosen": "red"}
    require_row_words({**row, "rejected": ["blue", "green"]}, True, "text", "row 1")
    for rejected, said in ((["blue", " "], "the answer .rejected. is empty"), ([], "at least one rejected answer")):
        with pytest.raises(DataError, match=f"row 1: .*{said}"):
            require_row_words({**row, "rejected": rejected}, True, "text", "row 1")


MESSAGES = [{"role": "user", "content": "what ?"}, {"role": "assistant", "content": "red"}]
BROKEN = {
    "{% if x %}": "the chat template cannot render it: Unexpected end of template",
    "{{ messages[0].part.text }}": "cannot render it: 'dict object' has no attribute 'part'",
    "{{ raise_exception('Roles must alternate') }}": "the chat template refuses it: Roles must alternate",
    None: "has no chat template to render it by",
}
SEVERAL = {"tool_use": "{{ messages }}", "rag": "{{ messages }}"}


def processor_with(template: str | dict[str, str] | None) -> Any:
    processor = tiny_processor()
    processor.chat_template = processor.tokenizer.chat_template = template
    return processor


@pytest.mark.parametrize(("template", "said"), BROKEN.items())
def test_rows_conversations_and_questions(template: str | None, said: str) -> None:
    processor = processor_with(template)
    with pytest.raises(InputError, match=said):
        render_messages(processor, MESSAGES, None, spans=False, label="rows.jsonl row 3")
    with pytest.raises(InputError, match=said):
        render_prompt(processor, Question("what ?", (), 4))


@pytest.mark.parametrize("template", [None, SEVERAL])
def test_a_template_that_is_not_there_is_said_once_and_of_no_row(template: dict[str, str] | None) -> None:
    rows = Dataset.from_list([{"messages": MESSAGES, "images": []}] * 12)
    encoder = SequenceEncoder(processor_with(template), EncodingSettings())
    with pytest.raises(InputError, match="chat template") as caught:
        check_rows(rows, "rows.jsonl", encoder, preferences=False, skip_bad_rows=True)
    assert "\n" not in str(caught.value) and "row 1" not in str(caught.value)


@pytest.mark.parametrize("template", [template for template in BROKEN if template])
def test_the_row_is_named(template: str) -> None:
    row = {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}
    with pytest.raises(DataError, match="rows.jsonl row 3: the chat template (cannot render|refuses) it"):
        render_columns(processor_with(template), row, 0, ("prompt", "completion"), "rows.jsonl row 3")


@pytest.mark.parametrize("value", [["x"], 7, [["x"]], {"role": "user"}, [None]])
def test_what_is_no_conversation_is_named(value: Any) -> None:
    with pytest.raises(DataError, match="rows.jsonl row 3: expected prompt as a text or as messages with role and"):
        require_words({"prompt": value}, ("prompt",), "rows.jsonl row 3")


def test_of_several_templates_without_a_default_the_names_are_told() -> None:
    with pytest.raises(InputError, match="chat templates rag, tool_use, and none is called def"):
        render_messages(processor_with(SEVERAL), MESSAGES, None, spans=False, label="rows.jsonl row 3")
    with pytest.raises(InputError, match="some/model: .* chat templates rag, tool_use, and none is called default"):
        check_template(processor_with(SEVERAL), "some/model")


@pytest.mark.parametrize("spans", [False, True])
def test_a_row_of_messages_is_named(spans: bool) -> None:
    processor = processor_with("{{ raise_exception('System role not supported') }}")
    with pytest.raises(DataError, match="^rows.jsonl row 3: the chat template refuses it: System role not supported"):
        render_messages(processor, MESSAGES, None, spans, "rows.jsonl row 3")
