"""Models that transformers lacks, on its building blocks."""
