"""CogVLM (2023): a Llama with a second set of weights in every layer for the tokens of an image."""

from __future__ import annotations
