"""Starts: what a ViT and a BERT give arrives, heads go on where they fit, and wrong folders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from sightline.data.vilt.words import encode_texts
from sightline.errors import InputError
from sightline.models.vilt.heads import build_answering, build_judging, is_vilt, load_head
from sightline.models.vilt.start import ViltSizes, build_start, build_vocabulary, load_shape, load_start, wave_positions
from tests.models.vilt.tiny_vilt import SIZES, TEXTS, tiny_batch, tiny_start

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture
def vit(tmp_path):
    torch.manual_seed(3)
    model = ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8)).eval()
    model.save_pretrained(tmp_path / "vit")
    return model, str(tmp_path / "vit")


@pytest.fixture
def bert(tmp_path):
    torch.manual_seed(4)
    tokenizer = tiny_start().processor.tokenizer
    tokenizer.save_pretrained(tmp_path / "bert")
    model = BertModel(BertConfig(**SMALL, vocab_size=len(tokenizer))).eval()
    model.save_pretrained(tmp_path / "bert")
    return model, str(tmp_path / "bert")


def test_a_vits_layers_compute_in_the_body_what_they_computed_in_the_vit(vit):
    """The body reads one word besides; with its attention to pictures cut off, pictures come out as from the ViT."""
    from sightline.models.vilt.embedding import embed_pictures, encode

    model, folder = vit
    body = build_start(SIZES, TEXTS, vit=folder).body.eval()
    batch = tiny_batch([(32, 32)] * 2)
    patches = embed_pictures(body, batch["pixel_values"], batch["pixel_mask"])
    with torch.no_grad():
        ours = encode(body, patches.states_BPH, patches.mask_BP)
        theirs = model(batch["pixel_values"]).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_berts_embeddings_of_texts_are_the_bodys(bert):
    model, folder = bert
    body = build_start(SIZES, (), bert=folder).body.eval()
    ids = tiny_start().processor.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(body.embeddings.text_embeddings(ids), model.embeddings(ids), atol=1e-5, rtol=1e-5)


def test_a_vit_and_a_bert_start_one_body(vit, bert):
    start = build_start(SIZES, (), vit=vit[1], bert=bert[1])
    assert start.config.vocab_size == bert[0].config.vocab_size
    assert start.name == f"{vit[1]} and {bert[1]}"


def test_folders_of_other_kinds_are_refused(vit, bert, tmp_path):
    with pytest.raises(InputError, match="is a model of type 'bert', but expected 'vit'"):
        build_start(SIZES, (), vit=bert[1])
    with pytest.raises(InputError, match="vit: .*nowhere could not be loaded"):
        build_start(SIZES, (), vit=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="expected 'vilt'"):
        load_start(vit[1])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("size", {"shortest_edge": " "}), ("size", {"height": 3, "width": 3}), ("size_divisor", " "), ("size_divisor", 0)],
)
def test_a_processor_that_makes_nothing_of_a_picture_is_named(setting, value, tmp_path):
    start = tiny_start()
    build_judging(start, 1).save_pretrained(tmp_path)
    start.processor.save_pretrained(tmp_path)
    path = next(tmp_path.glob("*processor_config.json"))
    settings = json.loads(path.read_text())
    settings.get("image_processor", settings)[setting] = value
    path.write_text(json.dumps(settings))
    for load in (load_start, load_shape, lambda name: load_head(name, "nlvr2")):
        with pytest.raises(InputError, match=f"{tmp_path.name}"):
            load(str(tmp_path))


def test_a_vocabulary_from_texts_encodes_them_without_unknown_pieces():
    tokenizer = tiny_start().processor.tokenizer
    for text in (*TEXTS, "Red SQUARES"):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


def test_the_same_seed_gives_the_same_weights():
    bodies = [tiny_start(seed).body.state_dict() for seed in (5, 5, 6)]
    assert all(torch.equal(value, bodies[1][name]) for name, value in bodies[0].items())
    assert not all(torch.equal(value, bodies[2][name]) for name, value in bodies[0].items())


def test_a_saved_head_goes_on_where_its_answers_are_the_same(tmp_path):
    start = tiny_start()
    model = build_answering(start, ["red", "blue"])
    model.save_pretrained(tmp_path)
    start.processor.save_pretrained(tmp_path)
    again = load_start(str(tmp_path))
    same, other = build_answering(again, ["red", "blue"]), build_answering(again, ["blue", "red"])
    assert torch.equal(same.classifier[3].weight, model.classifier[3].weight)
    assert not torch.equal(other.classifier[3].weight, model.classifier[3].weight)
    assert torch.equal(other.vilt.pooler.dense.weight, model.vilt.pooler.dense.weight)
    with pytest.raises(InputError, match="holds a model of class ViltForQuestionAnswering, but this needs"):
        load_head(str(tmp_path), "retrieval")


def test_a_second_picture_begins_with_the_modality_of_the_first():
    start = tiny_start()
    rows = build_judging(start, num_images=2).vilt.embeddings.token_type_embeddings.weight
    assert rows.shape[0] == 3 and torch.equal(rows[2], rows[1])
    assert torch.equal(rows[:2], start.body.embeddings.token_type_embeddings.weight)


def test_waves_tell_every_place_apart():
    waves = wave_positions(8, 32)
    distances = torch.cdist(waves, waves) + torch.eye(64)
    assert waves.shape == (64, 32) and distances.min() > 0.01


def test_embeddings_and_heads_are_drawn_with_the_initializer_range():
    model = build_answering(tiny_start(initializer_range=0.5), [str(number) for number in range(50)])
    for weight in (model.vilt.embeddings.text_embeddings.word_embeddings.weight, model.classifier[3].weight):
        assert float(weight.detach().std()) == pytest.approx(0.5, rel=0.1)


def test_sizes_default_to_vilt_b32():
    sizes = ViltSizes()
    assert (sizes.hidden_size, sizes.num_hidden_layers, sizes.patch_size, sizes.image_size) == (768, 12, 32, 384)
    assert (sizes.max_text_length, sizes.dropout) == (40, 0.1)


def test_a_small_vocabulary_keeps_letters_and_the_most_frequent_words():
    """Letters a, b, c and their continuations make 6 pieces with 5 special tokens before them: one word has room."""
    tokenizer = build_vocabulary(["abc ab", "abc", "ba"], ViltSizes(vocab_size=12))
    assert tokenizer.tokenize("ABC ab") == ["abc", "a", "##b"]


def test_texts_are_cut_at_the_models_length_where_a_tokenizer_names_none(tmp_path: Path) -> None:
    start = tiny_start()
    start.body.save_pretrained(tmp_path)
    start.processor.tokenizer.model_max_length = 10**30
    start.processor.save_pretrained(tmp_path)
    loaded = load_start(str(tmp_path))
    block = encode_texts(loaded.processor.tokenizer, ["red " * 500], loaded.processor.tokenizer.model_max_length)
    assert block.ids_BL.shape == (1, loaded.config.max_position_embeddings)


@pytest.mark.parametrize("content", ["[]", "3", "null", '{"model_type": ["vilt"]}', "{"])
def test_a_folder_whose_config_is_of_another_kind_holds_no_vilt(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert not is_vilt(str(tmp_path))
