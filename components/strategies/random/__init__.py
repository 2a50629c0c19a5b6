"""Control: uniformly from the pool."""
