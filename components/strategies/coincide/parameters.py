"""The section `coincide` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from components.parameters.section import Count, Section


class CoincideParameters(Section):
    """Strategy `coincide`."""

    model: str
    revision: str | None
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    batch_size: Count
    clusters: Count | Literal["auto"]
    temperature: Annotated[float, Field(gt=0)]
    profile: Literal["paper", "released"]

    @field_validator("layers")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError(f"list each layer once, in ascending order; got {list(value)}")
        return value


SECTION = CoincideParameters
