"""Synthesis: new training rows and preference pairs, written with a model."""
