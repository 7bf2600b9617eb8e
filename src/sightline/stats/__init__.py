"""Intervals and paired tests: pure functions of numbers."""
