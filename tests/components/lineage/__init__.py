"""Tests of components.scoring."""
