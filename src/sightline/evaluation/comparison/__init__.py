"""Comparison of two runs: paired changes, changed items, and differences in how they were run."""
