"""The control that draws uniformly from the pool."""
