"""Checkpoints in the layouts of their authors: recognised by their settings, read through a map of names."""
