"""How images are chosen: what the strategies share, and a package for each."""
