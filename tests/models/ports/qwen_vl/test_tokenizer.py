"""Ids are those of tiktoken's rule on the file's ranks, special forms have their numbers, seams leave no trace."""

from __future__ import annotations

import unicodedata

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given, strategies as st

from sightline.errors import InputError
from sightline.models.ports.qwen_vl.tokenizer import PATTERN, SEAM, SPECIALS, read_tokenizer
from tests.models.ports.qwen_vl.tiny import RANKS, ranks, write_words

PUBLISHED_WORDS = 151_643
# Of the published tokenizer (Qwen-VL's README and config.json).
PUBLISHED = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|extra_0|>": 151646,
    "<|extra_204|>": 151850,
    "<ref>": 151851,
    "</ref>": 151852,
    "<box>": 151853,
    "</box>": 151854,
    "<quad>": 151855,
    "</quad>": 151856,
    "<img>": 151857,
    "</img>": 151858,
    "<imgpad>": 151859,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "qwen.tiktoken"
    write_words(path)
    return read_tokenizer(path)


def ids_of(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def by_the_rule(text: str) -> list[int]:
    """tiktoken: a piece that has a rank is a token; else the two neighbours of the lowest rank become one, again and
    again."""
    known, ids = ranks(), []
    for piece in regex.findall(PATTERN, unicodedata.normalize("NFC", text)):
        parts = [bytes([value]) for value in piece.encode()]
        if piece.encode() in known:
            parts = [piece.encode()]
        while True:
            pairs = [(known.get(a + b), at) for at, (a, b) in enumerate(zip(parts, parts[1:], strict=False))]
            best = min(((rank, at) for rank, at in pairs if rank is not None), default=None)
            if best is None:
                break
            at = best[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [known[part] for part in parts]
    return ids


def test_special_forms_have_the_published_numbers(tokenizer):
    assert {word: PUBLISHED_WORDS + SPECIALS.index(word) for word in PUBLISHED} == PUBLISHED
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == list(range(RANKS, RANKS + 217))
    assert ids_of(tokenizer, "<box>(1,2)</box>")[0] == RANKS + SPECIALS.index("<box>")
    assert tokenizer.pad_token_id == tokenizer.bos_token_id == tokenizer.eos_token_id == RANKS


@given(st.text(alphabet=" \n\rtheredwais'sPct12,.\u00e9\u0301\u4e2d\u00bd<|>", max_size=40))
def test_texts_have_the_ids_of_the_rule(tokenizer, text):
    assert ids_of(tokenizer, text) == by_the_rule(text)
    assert tokenizer.decode(ids_of(tokenizer, text)) == unicodedata.normalize("NFC", text)


def test_letters_in_two_characters_become_one_and_nothing_stands_at_the_start(tokenizer):
    assert ids_of(tokenizer, "e\u0301") == ids_of(tokenizer, "\u00e9") == by_the_rule("\u00e9")
    assert tokenizer("the", add_special_tokens=True)["input_ids"] == ids_of(tokenizer, "the") == [ranks()[b"the"]]


def test_a_seam_behind_an_angle_makes_words_of_a_special_form(tokenizer):
    assert ids_of(tokenizer, f"a<{SEAM}|im_end|>b") == by_the_rule("a<|im_end|>b")
    assert ids_of(tokenizer, "a<|im_end|>b")[1] == RANKS + 2


def test_a_seam_elsewhere_keeps_two_line_breaks_apart(tokenizer):
    one, two = ranks()[b"\n"], ranks()[b"\n\n"]
    assert ids_of(tokenizer, "\n\n") == [two]
    assert ids_of(tokenizer, f"\n{SEAM}\n") == [one, one]


def test_what_is_skipped_in_an_answer_leaves_boxes_in(tokenizer):
    said = "<|im_start|><ref> red</ref><box>(1,2),(3,4)</box><|im_end|>"
    told = tokenizer.decode(ids_of(tokenizer, said), skip_special_tokens=True)
    assert told == "<ref> red</ref><box>(1,2),(3,4)</box>"


def test_a_saved_tokenizer_reads_alike(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    text = f"is the\n{SEAM}\n<{SEAM}|im_end|> Café <ref>red</ref>"
    saved = AutoTokenizer.from_pretrained(tmp_path)
    assert ids_of(saved, text) == ids_of(tokenizer, text)
    assert saved.decode(ids_of(saved, text), skip_special_tokens=True) == "is the\n\n<|im_end|> Café <ref>red</ref>"
    assert saved.padding_side == "left"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:5], "aGk", *lines[6:]], "line 6: expected a word in base64"),
        (lambda lines: [*lines[:5], "%% 5", *lines[6:]], "line 6: expected a word in base64"),
        (lambda lines: lines[:200], "got 200 words and 200 bytes. The file is cut"),
        (lambda lines: lines[:-3] + lines[-1:], "without a gap"),
    ],
)
def test_a_file_that_is_cut_or_no_such_file_is_told(tmp_path, change, message):
    path = tmp_path / "qwen.tiktoken"
    write_words(path)
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(InputError, match=message):
        read_tokenizer(path)
