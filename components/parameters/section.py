"""The base of every section of the parameters."""

from collections.abc import Callable, Collection, Iterator, Sequence
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Count = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, le=604_800)]  # a week; the system's own clocks end at some centuries
TemplateArguments = dict[str, bool | int | float | str]  # what a chat template is told besides the messages
# What is meant by nobody, and what arrays, clocks and divisions cannot hold.
_SMALLEST, _LARGEST, _LARGEST_COUNT = 1e-15, 1e30, 10**15


class Section(BaseModel):
    """Frozen; unknown keys are errors, and so are numbers out of reach, truth values for them and zero bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_zero_byte(cls, value: object) -> object:
        for text in _each(value):
            if isinstance(text, str) and "\0" in text:
                raise ValueError("a text with a zero byte, which no path or database can hold")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _no_number_out_of_reach(cls, value: object) -> object:
        for number in _each(value):
            largest = _LARGEST_COUNT if isinstance(number, int) else _LARGEST
            if isinstance(number, int | float) and number and not _SMALLEST <= abs(number) <= largest:
                raise ValueError(f"a number further from zero than {largest:g}, or nearer than {_SMALLEST:g}")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: object, info: ValidationInfo) -> object:
        # pydantic takes true for 1; YAML takes yes, no, on and off for truth values.
        if not any(isinstance(one, bool) for one in _each(value)):
            return value
        kinds = set(_kinds(cls.model_fields[info.field_name or ""].annotation))
        if kinds & {int, float} and bool not in kinds:
            raise ValueError("a truth value (YAML reads yes, no, on and off so) where a number is expected")
        return value


def _each(value: object) -> Sequence[object]:
    """A value, or those in a list."""
    return value if isinstance(value, list | tuple) else (value,)


def _kinds(annotation: object) -> Iterator[object]:
    """The types that an annotation allows, also as parts of a list."""
    if get_origin(annotation) is tuple:
        for one in get_args(annotation):
            yield from _kinds(one)
    elif get_origin(annotation) is Annotated:
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
