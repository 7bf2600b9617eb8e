"""Exchange with other tools: lmms-eval's files and plug-in, model cards of the Hub."""
