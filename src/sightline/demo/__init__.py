"""The demo: build, train, evaluate, align, evaluate again and compare, all on generated scenes."""
