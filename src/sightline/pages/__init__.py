"""Reports: single HTML files with charts, curves, images and a sample browser."""
