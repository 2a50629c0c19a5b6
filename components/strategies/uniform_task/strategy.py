"""What sets the control apart: nothing."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(name="uniform_task")
