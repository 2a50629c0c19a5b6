"""The parameters of what `presel gc` keeps (`retention`)."""

from typing import Annotated

from pydantic import Field

from components.parameters.section import Count, Section


class RetentionParameters(Section):
    """How long what no registered model needs is kept."""

    days: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    runs: Count
