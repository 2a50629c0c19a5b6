"""Control: the same number from every task, at random."""
