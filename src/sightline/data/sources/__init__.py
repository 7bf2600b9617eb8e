"""Sources of rows: files, folders, archives, tables and saved datasets."""
