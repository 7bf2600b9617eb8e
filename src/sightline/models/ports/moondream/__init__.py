"""moondream2: SigLIP's tower, a projector and Phi, in the four generations that were published under one name."""

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before the modules here import transformers' image processors
