"""Row formats: what users' files hold, converted to the columns that TRL trains on, and back."""
