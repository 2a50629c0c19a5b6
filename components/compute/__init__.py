"""How long-running work is carried out and reported."""
