"""Tests of components.models.vlm."""
