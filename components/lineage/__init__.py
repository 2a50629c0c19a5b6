"""Where a model comes from, and whether all of it is still what it was."""
