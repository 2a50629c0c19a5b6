"""The control that draws the same number from every task."""
