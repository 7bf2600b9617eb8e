"""The ViLT model: objectives, starting weights, answers, pair scores, word-patch alignment."""

from transformers.utils.logging import disable_progress_bar

from sightline.models.torchvision_schemas import declare_torchvision_operators

disable_progress_bar()  # a bar per file of weights beside our own; downloads keep theirs
declare_torchvision_operators()  # before the modules here import transformers' ViLT, whose processor needs torchvision
