"""The engine: compute once what the rows of a batch share, with exactly the same results."""
