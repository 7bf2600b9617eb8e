"""Trainers: TRL's, with batches that share their images and prompts."""

from transformers.utils.logging import disable_progress_bar

from sightline.training.workers import end_workers_that_fail

disable_progress_bar()  # a bar per file of weights beside our own; downloads keep theirs
end_workers_that_fail()
