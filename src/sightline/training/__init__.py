"""Trainers: TRL's, with batches that share their images and prompts."""
