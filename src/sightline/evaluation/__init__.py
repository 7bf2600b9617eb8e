"""Evaluation: benchmarks, metrics, runs, comparisons and their reports."""
