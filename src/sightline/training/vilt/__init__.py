"""Training ViLT on transformers' Trainer: pretraining, answering, retrieval, judging sentences."""
