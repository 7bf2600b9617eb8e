"""Statistics: intervals and paired tests, as pure functions of numbers."""
