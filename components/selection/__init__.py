"""PreSel's selection as pure functions: arrays in, indices and scores out."""
