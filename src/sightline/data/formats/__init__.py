"""Row formats: what users' files hold, converted to the columns that TRL trains on, and back."""

from sightline.data.formats.columns import (
    are_demonstrations,
    are_preferences,
    gathered,
    preference_rows,
    refuse_addresses,
    require_columns,
    sft_rows,
    to_preference_columns,
    to_sft_columns,
    without_pictures,
)
from sightline.data.formats.converted import TrainingRows, has_images, image_counts

__all__ = [
    "TrainingRows",
    "are_demonstrations",
    "are_preferences",
    "gathered",
    "has_images",
    "image_counts",
    "preference_rows",
    "refuse_addresses",
    "require_columns",
    "sft_rows",
    "to_preference_columns",
    "to_sft_columns",
    "without_pictures",
]
