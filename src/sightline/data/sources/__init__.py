"""Files, folders, archives, tables and saved datasets as rows."""
