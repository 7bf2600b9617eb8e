"""Settings: names, values, paths and packages, checked before anything heavy is imported."""
