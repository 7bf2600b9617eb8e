"""What is in a dataset before it trains: pictures, texts, duplicates, and what evaluation data share with it."""
