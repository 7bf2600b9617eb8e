"""Which release a folder holds is told from its weights and what lies beside them, or asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.ports.moondream.releases import Release, find_release
from sightline.models.published.folder import read_folder
from tests.models.ports.moondream import published
from tests.models.ports.moondream.published import OF_C, OF_D, write_folder

OF_MARCH_2024 = """prompt = f"<image>{embeds}</image>\\n\\nQuestion: {question}\\n\\nAnswer: "\n"""
OF_APRIL_2024 = """prompt = f"<image>\\n\\nQuestion: {question}\\n\\nAnswer:"\n"""
OF_JANUARY = 'Tokenizer.from_pretrained("vikhyatk/moondream2")\nself.tokenizer.encode(question).ids'


def release(folder: Path, revision: str | None = None) -> Release:
    found = read_folder(str(folder))
    assert found is not None
    return find_release(type(found)(found.name, revision, found.settings))


@pytest.mark.parametrize(
    ("generation", "code", "expected"),
    [
        ("A", {}, Release("A")),
        ("A", {"moondream.py": OF_APRIL_2024, "vision_encoder.py": "import torch"}, Release("A")),
        (
            "A",
            {"moondream.py": OF_MARCH_2024, "vision_encoder.py": "import timm"},
            Release("A", "tagged", of_timm=True),
        ),
        ("B", {}, Release("B")),
        ("C", {"moondream.py": OF_C}, Release("C")),
        ("C", {"moondream.py": OF_JANUARY}, Release("C", "tight", log_sizes=False)),
        ("D", {"moondream.py": OF_D}, Release("D", "marks")),
        ("D", {}, Release("D", "marks")),  # by the tokenizer of starmie-v1, laid into the folder
    ],
)
def test_the_authors_code_is_read_and_never_run(
    generation: str, code: dict[str, str], expected: Release, tmp_path: Path
) -> None:
    assert release(write_folder(tmp_path / "model", generation, code)) == expected


@pytest.mark.parametrize(
    ("generation", "revision", "expected"),
    [
        ("A", "2024-03-06", Release("A", "tagged", of_timm=True)),
        ("A", "2024-03-13", Release("A", of_timm=True)),
        ("A", "2024-04-02", Release("A")),
        ("A", "main", Release("A")),
        ("B", "2024-08-26", Release("B")),
        ("C", "2025-01-09", Release("C", "tight", log_sizes=False)),
        ("C", "2025-04-14", Release("C")),
        ("C", "2025-06-21", Release("D", "marks")),
    ],
)
def test_without_code_a_revision_that_is_a_date_tells(
    generation: str, revision: str, expected: Release, tmp_path: Path
) -> None:
    assert release(write_folder(tmp_path / "model", generation, code={}), revision) == expected


@pytest.mark.parametrize("revision", [None, "main"])
def test_two_generations_that_nothing_tells_apart_are_asked_for(revision: str | None, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "C", code={})
    with pytest.raises(InputError, match=r"2025-06-21 need the tokenizer of moondream/starmie-v1.*Copy moondream.py"):
        release(folder, revision)


def test_a_tower_of_timm_has_exact_gelu_and_smaller_eps(tmp_path: Path) -> None:
    code = {"moondream.py": OF_MARCH_2024, "vision_encoder.py": "import timm"}
    vlm = load_vlm(write_folder(tmp_path / "model", "A", code))
    tower = vlm.model.config.vision_config
    assert (tower.hidden_act, tower.layer_norm_eps) == ("gelu", 1e-6)
    assert vlm.model.generation_config.stop_strings == ["<END>"]


def test_the_tokenizer_that_is_left_over_beside_d_is_refused(tmp_path: Path) -> None:
    """The folder that was published carries that of C, with which D writes nonsense."""
    folder = write_folder(tmp_path / "model", "D")
    published.tokenizer().save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match=r"expected that of moondream/starmie-v1.*got another.*--tokenizer"):
        load_vlm(folder)


def test_a_tokenizer_that_is_named_is_taken(tmp_path: Path) -> None:
    from transformers import AutoProcessor

    from sightline.models.pretrained import load_pretrained

    folder = write_folder(tmp_path / "model", "D")
    (tmp_path / "words").mkdir()
    (folder / "tokenizer.json").rename(tmp_path / "words" / "tokenizer.json")
    with pytest.raises(InputError, match="got none"):
        load_pretrained(AutoProcessor, folder)
    processor: Any = load_pretrained(AutoProcessor, folder, {"tokenizer": str(tmp_path / "words")})
    assert processor.tokenizer.convert_tokens_to_ids("<|md_reserved_0|>") == 1


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "A")
    words = published.tokenizer()
    words.add_tokens(["another", "two more"])
    words.save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match=r"expected the token <\|image\|> to be number 316.*got 318"):
        load_vlm(folder)
