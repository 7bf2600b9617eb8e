"""Tasks, scores and reports of a model's answers."""
