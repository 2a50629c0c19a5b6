"""What a run would do and buy: what the plans of all strategies have in common."""
