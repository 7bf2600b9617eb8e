"""Words of rows in every form, roles, placeholders, scripts and languages."""

from __future__ import annotations

import pytest

from sightline.data.checking.rows import SHORT, language_of, script_of
from sightline.data.checking.texts import plain_words, read_texts


def said(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "row",
    [
        {"question": "what?", "answer": "a cat"},
        {"prompt": "what?", "completion": "a cat"},
        {"prompt": [said("user", "what?")], "completion": [said("assistant", "a cat")]},
        {"messages": [said("user", [{"type": "text", "text": "what?"}]), said("assistant", "a cat")]},
        {"conversations": [{"from": "human", "value": "what?"}, {"from": "gpt", "value": "a cat"}]},
    ],
)
def test_every_form_of_a_question_and_its_answer_reads_the_same(row):
    text = read_texts(row)
    assert (text.turns, text.marks, text.disorder) == ((("what?", "a cat"),), 0, "")


def test_each_turn_is_a_question_with_its_answer():
    turns = [said("system", "be kind"), said("user", "a?"), said("assistant", "b"), said("user", "c?")]
    text = read_texts({"messages": turns})
    assert text.turns == (("a?", "b"),), "the last question has no answer, and trains all the same"
    assert text.disorder == "user has the last word"


def test_answers_without_a_question_are_captions():
    assert read_texts({"captions": ["a dog", "a pup"]}).turns == ((None, "a dog"), (None, "a pup"))
    assert read_texts({"question": "what?", "answers": [{"answer": "yes"}, {"answer": "no"}]}).turns == (
        ("what?", "yes"),
        ("what?", "no"),
    )


def test_a_preference_holds_all_its_rejected_answers():
    text = read_texts({"prompt": "what?", "chosen": "a cat", "rejected": ["a dog", "an owl"]})
    assert text.turns == (("what?", "a cat"),) and text.rejected == ("a dog", "an owl")
    answers = {"chosen": [said("assistant", "a cat")], "rejected": [said("assistant", "x")]}
    spoken = read_texts({"prompt": [said("user", "what?")], **answers})
    assert spoken.turns == (("what?", "a cat"),) and spoken.rejected == ("x",)


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        ("<image>\nwhat?", 1),
        ("<image 1> and <image 2>", 2),
        ([{"type": "image"}, {"type": "image"}, {"type": "text", "text": "what?"}], 2),
        ([{"type": "image"}, {"type": "text", "text": "write <image>"}], 1),  # parts count, where there are some
        ("an <imagine>", 0),
    ],
)
def test_placeholders_are_parts_or_marks_in_the_text(content, marks):
    assert read_texts({"messages": [said("user", content), said("assistant", "a")]}).marks == marks


@pytest.mark.parametrize(
    ("roles", "disorder"),
    [
        ("user assistant", ""),
        ("system user assistant user assistant", ""),
        ("user assistant tool assistant", ""),
        ("assistant user assistant", "assistant speaks first"),
        ("user user assistant", "user speaks twice in a row"),
        ("user system assistant", "system is not first"),
        ("human assistant", "the role 'human'"),
        ("user assistant user", "user has the last word"),
    ],
)
def test_roles_take_turns(roles, disorder):
    assert read_texts({"messages": [said(role, "text") for role in roles.split()]}).disorder == disorder


def test_spellings_of_a_question_are_one():
    assert plain_words("<image>\nWhat's  THIS?") == plain_words("what s this") == "what s this"
    assert plain_words("?!") == "?!", "a text without words stays itself"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a red circle", "Latin"),
        ("Übergröße", "Latin"),
        ("красный круг", "Cyrillic"),
        ("一个红色的圆圈 OK", "Han"),
        ("赤い円です", "Japanese kana"),
        ("دائرة حمراء", "Arabic"),
        ("빨간 원", "Hangul"),
        ("12 + 3", "no letters"),
        ("ᚠᚢᚦ", "another script"),
    ],
)
def test_the_script_of_most_letters_counts(text, script):
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the man in the picture holding?", "en"),
        ("Was hält der Mann auf dem Bild in der Hand?", "de"),
        ("Qu'est-ce que l'homme tient à la main ?", "fr"),
        ("图片里的人手里拿着什么？", "zh"),
        ("画像の男性は何を持っていますか", "ja"),
        ("그림 속 남자는 무엇을 들고 있습니까", "ko"),
        ("Что держит в руке мужчина на этой картинке?", "ru"),
        ("triangle", SHORT),
        ("1 2 3", SHORT),
    ],
)
def test_the_language_of_a_text_is_told_from_a_few_words_on(text, language):
    assert language_of(text) == language
