"""Built-in generated data: small scenes with exact ground truth, questions, descriptions and preferences."""
