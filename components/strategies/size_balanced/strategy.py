"""What sets PreSel without task importance apart."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(
    name="size_balanced",
    evidence=("inputs/encoder.json", "vectors", "clusters", "allocation"),
)
