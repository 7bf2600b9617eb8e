"""Trainers: TRL's, with batches that share their images and prompts."""

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before TRL imports transformers' image processors
