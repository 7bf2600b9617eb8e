"""From files to token sequences: sources, formats, images, templates, checks and generated worlds."""
