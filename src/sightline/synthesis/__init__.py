"""Synthesis: new training rows and preference pairs, written with a model."""

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before TRL, which reads the columns of a source, loads transformers' processors
