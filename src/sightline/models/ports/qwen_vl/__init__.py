"""Qwen-VL and Qwen-VL-Chat of 2023, under the names that their authors gave to weights and settings."""

from __future__ import annotations
