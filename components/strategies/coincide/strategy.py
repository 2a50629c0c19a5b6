"""What sets COINCIDE apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.strategies.coincide.parameters import CoincideParameters
from components.strategies.strategy import OutsideModel, Strategy

if TYPE_CHECKING:
    from components.parameters.parameters import Parameters


def _models(parameters: "Parameters") -> Mapping[str, OutsideModel]:
    own = parameters.section(CoincideParameters)
    return {"concept_model": OutsideModel(own.model, own.revision, own.layers)}


STRATEGY = Strategy(
    name="coincide",
    reads_pool_instructions=True,
    evidence=("activations", "concepts", "concept_shares"),
    models=_models,
)
