"""What sets TIVE apart."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(
    name="tive",
    reads_pool_instructions=True,
    evidence=("warm_up", "warm_up_model", "gradients", "influence"),
    shown_parameters=("tive.sampling_q",),
)
