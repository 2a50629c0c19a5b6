"""Prices, estimates, the budget and its approval, and what was paid."""
