"""Model families: build, load, adapt, merge and ask a model."""
