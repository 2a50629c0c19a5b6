"""What sets the whole pool apart."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(name="full", reads_pool_instructions=True, takes_whole_pool=True)
