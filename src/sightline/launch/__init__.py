"""The processes of one run under `torchrun` or `accelerate launch`: how they meet, wait and end."""
