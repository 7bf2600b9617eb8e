"""From rows to token sequences: chat templates, processors, lengths, and checks before training."""
