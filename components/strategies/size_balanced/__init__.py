"""PreSel without task importance: every task gets its share of the pool, and no reference set is needed."""
