"""Metrics: the numbers of a task from its judged items, with bounds and intervals."""
