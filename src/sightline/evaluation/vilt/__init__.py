"""Scores of trained ViLTs: answers, retrieval in both directions, judged sentences; their pages and drawings."""
