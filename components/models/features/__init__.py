"""One vector per sample of an annotated pool: projected gradients (TIVE), pooled activations (COINCIDE)."""
