"""Provider `local`: a model on this machine."""
