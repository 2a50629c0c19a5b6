"""From the pool's sources to a manifest of validated, deduplicated samples."""
