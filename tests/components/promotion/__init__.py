"""Tests of components.models.scoring."""
