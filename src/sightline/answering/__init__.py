"""Answerers: a local model or an endpoint is asked each question once, and every answer is kept."""
