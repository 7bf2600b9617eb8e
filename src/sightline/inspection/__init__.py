"""Checks before training: what is in a dataset, what a model sees of it, what a run will cost."""

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before the files here import transformers
