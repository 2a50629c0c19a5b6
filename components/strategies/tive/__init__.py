"""TIVE (arXiv 2403.09559): gradient influence."""
