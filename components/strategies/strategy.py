"""What the strategies need, in one table."""

from dataclasses import dataclass

from components.parameters.parameters import StrategyName


@dataclass(frozen=True, slots=True)
class Strategy:
    """What sets a strategy apart from the others outside its own steps.

    Attributes:
        has_reference_set: it annotates a reference set that counts toward the budget and is tuned on.
        reads_pool_instructions: it takes the instruction of every sample, so a run asks before it buys them.
        can_recurate: it can go on from an earlier curation when the pool has changed.
    """

    has_reference_set: bool
    reads_pool_instructions: bool
    can_recurate: bool = False

    @property
    def instruction_origins(self) -> tuple[str, ...]:
        """Whose instructions the training set is made of, under `instructions/`."""
        return ("reference", "selection") if self.has_reference_set else ("selection",)

    @property
    def needed_origins(self) -> tuple[str, ...]:
        """Whose instructions must exist before the model can be tuned; no sample is in two of them."""
        return ("pool",) if self.reads_pool_instructions else self.instruction_origins


STRATEGIES: dict[StrategyName, Strategy] = {
    "presel": Strategy(has_reference_set=True, reads_pool_instructions=False, can_recurate=True),
    "tive": Strategy(has_reference_set=False, reads_pool_instructions=True),
    "coincide": Strategy(has_reference_set=False, reads_pool_instructions=True),
    "size_balanced": Strategy(has_reference_set=False, reads_pool_instructions=False),
    "uniform_task": Strategy(has_reference_set=False, reads_pool_instructions=False),
    "random": Strategy(has_reference_set=False, reads_pool_instructions=False),
    "full": Strategy(has_reference_set=False, reads_pool_instructions=True),
}
