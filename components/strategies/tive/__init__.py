"""TIVE (arXiv 2403.09559): gradient influence of the instructions of the whole pool."""
