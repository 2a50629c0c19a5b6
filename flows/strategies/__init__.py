"""The strategies: how each of them chooses, step by step."""
