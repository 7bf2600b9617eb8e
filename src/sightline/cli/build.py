"""`sightline build` and `sightline merge`: make a VLM of its parts, and fold an adapter into its base."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from sightline.cli.settings_help import PRESETS, one_of
from sightline.errors import ConfigError


def build_command(
    out: Path = typer.Argument(help="Folder to write; it must be new or empty."),
    preset: str | None = typer.Option(
        None, "--preset", help="A ready specification: nano.", autocompletion=one_of(*PRESETS)
    ),
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


def merge_command(
    adapter_folder: str = typer.Argument(
        metavar="ADAPTER", help="A run's folder with an adapter, one of its checkpoints, or a Hub id."
    ),
    out: Path = typer.Argument(help="Folder to write; it must be new or empty."),
    base: str | None = typer.Option(
        None, "--base", help="Folder or Hub id of the base model; by default the one that the adapter names."
    ),
    adapter: str | None = typer.Option(None, "--adapter", help="Name of the adapter, where a folder holds several."),
    dtype: str = typer.Option("auto", "--dtype", help="float32, bfloat16 or float16; auto keeps the base's."),
    max_shard_size: str | None = typer.Option(
        None, "--max_shard_size", help="Largest part of the weights, such as 5GB; by default as in the base."
    ),
) -> None:
    """Fold an adapter into its base: sightline merge ADAPTER OUT [--base MODEL]

    What comes out is an ordinary model folder with processor, chat template, generation settings and a card; it answers
    as base and adapter do, starts the next stage of training, and needs no PEFT. All is added up in float32 (4 bytes
    of memory for each weight), rounded once to the base's precision, and compared before the folder gets its name.
    """
    from sightline.models.merging import MergeSettings, merge_adapter

    merged = merge_adapter(MergeSettings(adapter_folder, out, base, adapter, dtype, max_shard_size))
    print(merged.summary, file=sys.stderr)
    print(out)
