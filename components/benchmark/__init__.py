"""Held-out sets, how their answers are judged, and how a tuned model is compared."""
