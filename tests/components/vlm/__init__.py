"""Tests of components.vlm."""
