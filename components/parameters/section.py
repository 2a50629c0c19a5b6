"""The base of every section of the parameters."""

from collections.abc import Callable, Collection, Iterator
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Count = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(ge=0)]
TemplateArguments = dict[str, bool | int | float | str]  # what a chat template is told besides the messages


class Section(BaseModel):
    """Frozen; unknown keys are errors, and so are infinite numbers, truth values for numbers and zero bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_zero_byte(cls, value: object) -> object:
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and "\0" in text:
                raise ValueError("a text with a zero byte, which no path or database can hold")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: object, info: ValidationInfo) -> object:
        # pydantic takes true for 1; YAML takes yes, no, on and off for truth values.
        if not isinstance(value, bool):
            return value
        kinds = set(_kinds(cls.model_fields[info.field_name or ""].annotation))
        if kinds & {int, float} and bool not in kinds:
            raise ValueError("a truth value (YAML reads yes, no, on and off so) where a number is expected")
        return value


def _kinds(annotation: object) -> Iterator[object]:
    """The types that an annotation allows."""
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        for one in get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


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
