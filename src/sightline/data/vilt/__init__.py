"""What ViLT reads: captions, questions and sentences about pictures, masked words and pictures in whole patches."""
