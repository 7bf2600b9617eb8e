"""New training rows from a model: conversations, descriptions, reasoning, paraphrases and preference pairs."""

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before TRL, which reads the columns of a source, loads transformers' processors
