"""What sets a strategy apart from the others, outside its own stages and steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.parameters.parameters import Parameters


@dataclass(frozen=True, slots=True)
class OutsideModel:
    """A model that lies outside the project's artifacts.

    Attributes:
        model: folder or Hub id.
        revision: git revision of a Hub model.
        layers: decoder layers of it that are read, from 0.
    """

    model: str
    revision: str | None
    layers: tuple[int, ...]


def _no_models(_parameters: "Parameters") -> Mapping[str, OutsideModel]:
    return {}


@dataclass(frozen=True, slots=True)
class Strategy:
    """What the rest of the project asks a strategy, instead of comparing its name.

    Attributes:
        name: as in `components.strategies.names`.
        has_reference_set: it annotates a reference set that counts toward the budget and is tuned on.
        reads_pool_instructions: it takes the instruction of every sample, so a run asks before it buys them.
        can_recurate: it can go on from an earlier curation when the pool has changed.
        takes_whole_pool: it picks every sample, whatever the budget.
        evidence: what the choice rests on, for the report: paths under `data/`, in the order of the stages.
        shown_parameters: dotted names of parameters that its part of the report shows.
        models: what its stages read beside the encoder and the model that is tuned, by the name of the snapshot under
            `data/inputs/`.
    """

    name: str
    has_reference_set: bool = False
    reads_pool_instructions: bool = False
    can_recurate: bool = False
    takes_whole_pool: bool = False
    evidence: tuple[str, ...] = ()
    shown_parameters: tuple[str, ...] = ()
    models: Callable[["Parameters"], Mapping[str, OutsideModel]] = _no_models

    @property
    def instruction_origins(self) -> tuple[str, ...]:
        """Whose instructions the training set is made of, under `instructions/`."""
        return ("reference", "selection") if self.has_reference_set else ("selection",)

    @property
    def needed_origins(self) -> tuple[str, ...]:
        """Whose instructions must exist before the model can be tuned; no sample is in two of them."""
        return ("pool",) if self.reads_pool_instructions else self.instruction_origins
