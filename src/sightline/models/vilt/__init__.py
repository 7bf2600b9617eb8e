"""ViLT, one transformer over words and image patches: objectives, starts, answers, scores of pairs, alignment."""
