"""Scores of instructed images."""
