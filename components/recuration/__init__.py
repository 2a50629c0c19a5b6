"""Recuration: what a curation keeps of the one before it when the pool has changed."""
