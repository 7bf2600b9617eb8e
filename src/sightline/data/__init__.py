"""Sources, formats, images, templates, checks and generated worlds: from files to sequences."""
