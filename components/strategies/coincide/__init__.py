"""COINCIDE (EMNLP 2024, arXiv 2406.10995): concept clusters of the instructions of the whole pool."""
