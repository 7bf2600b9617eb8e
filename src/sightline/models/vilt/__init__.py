"""The ViLT model: objectives, starting weights, answers, pair scores, word-patch alignment."""

from transformers.utils.logging import disable_progress_bar

disable_progress_bar()  # a bar per file of weights beside our own; downloads keep theirs
