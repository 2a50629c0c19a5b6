"""Tests of what the benches compute; what they measure is not tested."""
