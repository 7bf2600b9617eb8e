"""ViLT training on transformers' Trainer: pretraining, answering, retrieval, judging sentences."""
