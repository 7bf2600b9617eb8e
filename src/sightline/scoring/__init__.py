"""Scorers: what each peer, and our own `strict`, makes of an answer; pure functions of item and answer."""
