"""Scores of trained ViLTs: answers, retrieval in both directions, judged sentences; and pages and drawings of them."""
