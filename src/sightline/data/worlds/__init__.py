"""Generated data: small scenes with known truth, questions, descriptions and preferences."""
