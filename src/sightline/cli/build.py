"""`sightline build`: build a VLM from a preset, or from a vision tower, a projector and a decoder."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def build_command(
    out: Path = typer.Argument(help="Folder to write; it must be new or empty."),
    preset: str | None = typer.Option(None, "--preset", help="A ready specification: nano."),
    tower: str | None = typer.Option(None, "--tower", help="Vision config as JSON, or a pretrained model's folder."),
    decoder: str | None = typer.Option(None, "--decoder", help="The same for a causal language model."),
    projector: str = typer.Option("gelu", "--projector", help="Activation between its two linear layers."),
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", help="Folder or Hub id; by default the decoder folder's, or a small one is made."
    ),
    image_size: int | None = typer.Option(None, "--image_size", help="Side of the square picture, in pixels."),
    feature_layer: int = typer.Option(-1, "--feature_layer", help="Hidden state of the tower for the projector."),
    seed: int = typer.Option(42, "--seed", help="The same seed gives the same weights."),
) -> None:
    """Build a new VLM: OUT --preset nano, or OUT --tower tower.json --decoder decoder.json.

    What comes out is an ordinary Hugging Face folder with weights, tokenizer, image processor, chat template and
    generation settings.
    """
    from sightline.errors import ConfigError
    from sightline.models.build import BuildSpec, build_vlm, check_empty, preset_spec, save_vlm

    if preset is not None and (tower is not None or decoder is not None):
        raise ConfigError("preset: it names all parts. Give --preset, or --tower and --decoder.")
    if preset is not None and (projector, tokenizer, image_size, feature_layer) != ("gelu", None, None, -1):
        raise ConfigError(
            "preset: it names all parts, so --projector, --tokenizer, --image_size and --feature_layer cannot change "
            "it. Leave them out, or give --tower and --decoder."
        )
    check_empty(out)
    if preset is not None:
        spec = preset_spec(preset)
    elif tower is not None and decoder is not None:
        spec = BuildSpec(tower, decoder, projector, tokenizer, image_size, feature_layer)
    else:
        raise ConfigError("Expected --preset nano, or both --tower and --decoder.")
    built = build_vlm(spec, seed)
    save_vlm(built, out)
    shape = built.model.config
    print(
        f"{built.model.num_parameters() / 1e6:.1f}M parameters, {shape.image_seq_length} image tokens, "
        f"{len(built.processor.tokenizer)} text tokens.",
        file=sys.stderr,
    )
    print(out)
