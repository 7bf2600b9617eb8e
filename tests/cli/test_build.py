"""`sightline build` writes a model folder, or says what is wrong and writes nothing."""

from __future__ import annotations

import json

from sightline.cli.main import run
from tests.models.test_build import LLAMA, VIT


def test_build_from_json_files_writes_a_loadable_folder(tmp_path, capsys):
    from transformers import AutoModelForImageTextToText

    for name, config in (("tower", VIT), ("decoder", LLAMA)):
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    out = tmp_path / "vlm"
    parts = ["--tower", str(tmp_path / "tower.json"), "--decoder", str(tmp_path / "decoder.json")]
    flags = [*parts, "--projector", "relu"]
    assert run(["build", str(out), *flags]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert AutoModelForImageTextToText.from_pretrained(out).config.projector_hidden_act == "relu"
    assert run(["build", str(out), *flags]) == 2
    assert "holds something already" in capsys.readouterr().err


def test_build_refuses_half_a_specification_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "vlm"
    assert run(["build", str(out), "--tower", "tower.json"]) == 2
    assert "both --tower and --decoder" in capsys.readouterr().err
    assert run(["build", str(out), "--preset", "nano", "--tower", "tower.json"]) == 2
    assert "it names all parts" in capsys.readouterr().err
    for flags in (["--image_size", "448"], ["--projector", "relu"], ["--feature_layer", "-2"], ["--tokenizer", "t"]):
        assert run(["build", str(out), "--preset", "nano", *flags]) == 2
        assert "--image_size and --feature_layer cannot change it" in capsys.readouterr().err
    assert not out.exists()
