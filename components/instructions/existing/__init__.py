"""Provider `existing`: instructions that are written already."""
