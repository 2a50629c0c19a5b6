"""The control that takes the whole pool."""
