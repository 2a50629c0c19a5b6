"""The section `tive` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from components.parameters.section import Count, Section


class TiveParameters(Section):
    """Strategy `tive`."""

    warm_up_share: Annotated[float, Field(gt=0, lt=1)]
    projection: Count
    batch_size: Count
    sampling_q: Annotated[float, Field(ge=0)]
    self_influence: Literal["norm", "squared_norm"]
    rounding: Literal["exact", "released"]


SECTION = TiveParameters
