"""What a response must be, and what becomes of one that is not."""
