"""What a command is given, read and checked before anything heavy is imported: names, values, paths, packages."""
