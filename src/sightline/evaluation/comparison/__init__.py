"""Two runs against each other: paired changes, the items that flipped, and what else differs between the runs."""
