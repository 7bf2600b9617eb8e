"""Input of ViLT: captions, questions, sentences, masked words, and images as patches."""
