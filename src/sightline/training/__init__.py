"""Trainers: TRL's, with batches that share their images and prompts."""

from transformers.utils.logging import disable_progress_bar

from sightline.models.torchvision_schemas import declare_torchvision_operators
from sightline.training.workers import end_workers_that_fail

disable_progress_bar()  # a bar per file of weights beside our own; downloads keep theirs
declare_torchvision_operators()  # before TRL imports transformers' image processors
end_workers_that_fail()
