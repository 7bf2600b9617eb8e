"""The log of a training run: its numbers, its record and its page; several runs on one page."""
