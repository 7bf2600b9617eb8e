"""Benchmarks, one file each: where their rows lie, how these become items, what is asked, how answers are scored."""
