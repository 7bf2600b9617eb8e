"""Images of rows: find, open, download, augment and copy them."""
