"""The whole story on generated scenes: build, train, evaluate, align, evaluate again, compare."""
