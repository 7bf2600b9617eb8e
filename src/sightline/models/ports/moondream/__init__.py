"""moondream2: SigLIP's tower, a projector and Phi, in the four generations that were published under one name."""
