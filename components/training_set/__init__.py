"""The training set: its samples, its notations, handing it to other trainers."""
