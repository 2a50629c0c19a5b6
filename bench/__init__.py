"""Benchmarks: our implementations against the released algorithms, the naive way and the hardware limit."""
