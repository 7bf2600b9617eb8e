"""Metrics: a task's numbers from its scored items, with bounds and intervals."""
