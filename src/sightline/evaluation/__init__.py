"""Benchmarks: tasks, metrics, runs, comparisons and their reports."""
