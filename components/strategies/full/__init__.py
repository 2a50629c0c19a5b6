"""Control: the whole pool, whatever the budget."""
