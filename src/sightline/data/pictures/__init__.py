"""Images of rows: found however they are named, opened by one function, fetched, augmented and copied."""
