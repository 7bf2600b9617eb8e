"""Row formats in and out: what people's files hold, as the columns that TRL trains on."""

from sightline.data.formats.columns import (
    TrainingRows,
    are_preferences,
    has_images,
    image_counts,
    preference_rows,
    require_columns,
    sft_rows,
    to_preference_columns,
    to_sft_columns,
)

__all__ = [
    "TrainingRows",
    "are_preferences",
    "has_images",
    "image_counts",
    "preference_rows",
    "require_columns",
    "sft_rows",
    "to_preference_columns",
    "to_sft_columns",
]
