"""Model families and how to build, load and ask a model."""
