"""`sightline data`: check, preview, convert and write training data."""

from __future__ import annotations

from sightline.cli.data_check import check_command as check_command
from sightline.cli.data_convert import convert_command as convert_command
from sightline.cli.data_preview import preview_command as preview_command
from sightline.cli.data_synthesize import synthesize_command as synthesize_command
