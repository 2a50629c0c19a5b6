"""Whether a newly tuned model takes the place of the one that is in use."""
