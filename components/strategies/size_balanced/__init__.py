"""PreSel without task importance: every task its share of the pool."""
