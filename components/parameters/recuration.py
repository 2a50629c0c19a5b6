"""The section `recurate` of the parameters."""

from typing import Annotated

from pydantic import Field

from components.parameters.section import Section


class RecurateParameters(Section):
    """When what an earlier curation computed is no longer good enough."""

    retune_share: Annotated[float, Field(ge=0)]
    drift_ratio: Annotated[float, Field(ge=1)]
    recluster_growth: Annotated[float, Field(gt=1)]
