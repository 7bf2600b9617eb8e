"""Checks before training: what is in a dataset, what a model sees of it, what a run will cost."""
