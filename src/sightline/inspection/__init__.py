"""Look before training: what is in a dataset, and what a model will see of it."""
