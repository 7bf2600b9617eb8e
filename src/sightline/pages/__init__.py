"""Reports as single HTML files: blocks, charts, curves, pictures and a sample browser."""
