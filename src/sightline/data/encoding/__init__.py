"""From rows to sequences of tokens: templates, processors, lengths and what is checked before training."""
