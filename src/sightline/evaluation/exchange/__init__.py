"""What other tools read of a run, and how they run ours: lmms-eval, model cards of the Hub."""
