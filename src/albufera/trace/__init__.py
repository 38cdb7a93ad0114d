"""F1: the log of everything that was done, and the proofs that it was not rewritten."""
