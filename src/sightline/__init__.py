"""Post-train and evaluate vision-language models, computing once whatever a batch shares."""

__version__ = "0.1.0"
