"""Row formats in and out: what people's files hold, as the columns that TRL trains on."""

from sightline.data.formats.columns import (
    TrainingRows,
    are_demonstrations,
    are_preferences,
    gathered,
    has_images,
    image_counts,
    preference_rows,
    refuse_addresses,
    require_columns,
    sft_rows,
    to_preference_columns,
    to_sft_columns,
    without_pictures,
)

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
