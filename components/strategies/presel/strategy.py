"""What sets PreSel apart."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(
    name="presel",
    has_reference_set=True,
    can_recurate=True,
    evidence=(
        "earlier/manifest/samples.parquet",
        "earlier/reference",
        "earlier/selection",
        "inputs/encoder.json",
        "vectors",
        "reference",
        "reference_model",
        "scores",
        "clusters",
        "allocation",
    ),
)
