"""What a training run writes down while it trains: its numbers, its story, its page; several runs on one page."""
