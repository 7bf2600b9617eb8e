"""Scorers: pure functions that read an answer and score it, by our rules (`strict`) or those of other tools."""
