"""Who answers questions (a local model, an endpoint), asked once and kept."""
