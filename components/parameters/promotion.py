"""The parameters of the gate between a tuned model and the one in use (`promotion`)."""

from typing import Annotated

from pydantic import Field

from components.parameters.section import Section


class PromotionParameters(Section):
    """When a challenger becomes champion."""

    automatic: bool
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    tolerated_loss: Annotated[float, Field(ge=0, le=1)]
