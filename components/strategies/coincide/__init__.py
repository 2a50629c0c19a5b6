"""COINCIDE (EMNLP 2024, arXiv 2406.10995): concept-skill clusters of a small model's activations."""
