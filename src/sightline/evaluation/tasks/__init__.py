"""Benchmarks, one file each: where the rows are, how to ask, how to score."""
