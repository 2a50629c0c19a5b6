"""The base of every section of the parameters."""

from collections.abc import Callable, Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Count = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TemplateArguments = dict[str, bool | int | float | str]  # what a chat template is told besides the messages


class Section(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def one_of(names: Callable[[], Collection[str]]) -> AfterValidator:
    """Allow these names alone.

    Args:
        names: gives them when a value is checked: what carries a name may itself take parameters.
    """

    def check(name: str) -> str:
        if name not in (known := names()):
            raise ValueError(f"must be one of {', '.join(known)}")
        return name

    return AfterValidator(check)
