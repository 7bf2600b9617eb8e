"""Dataset checks: unreadable images, bad texts, duplicates, and evaluation data inside training data."""
