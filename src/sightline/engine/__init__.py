"""The engine: what a batch shares is computed once, exactly."""
