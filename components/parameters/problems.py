"""What is wrong with a key of a YAML file, for a person: the key, what it is, what is allowed, what to do."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_NAMED = 12  # keys of a section that are listed when none is near


def describe_problem(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong, in words that need no knowledge of this program's code.

    Args:
        problem: as pydantic found it.
        model: of the whole file.

    Returns:
        A clause that follows the key.
    """
    match problem["type"]:
        case "extra_forbidden":
            return f"is no parameter{_nearest(str(problem['loc'][-1]), _keys_at(model, problem['loc'][:-1]))}"
        case "missing":
            return "is missing; every key must be there"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must be a section with keys{_listed(_keys_at(model, problem['loc']))}"
        case "too_short":
            return f"must have {problem['ctx']['min_length']} entries or more"
    said = problem["msg"].removeprefix("Value error, ")
    return said.replace("Input should be", "must be", 1)


def is_echo(problem: ErrorDetails) -> bool:
    """Whether a problem is only that entries of a list are wrong, which is said of each."""
    given = problem["input"]
    return problem["type"] == "too_short" and len(given) >= problem["ctx"]["min_length"]


def _nearest(key: str, known: Collection[str]) -> str:
    near = get_close_matches(key, known, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else _listed(known)


def _listed(known: Collection[str]) -> str:
    more = ", ..." if len(known) > _NAMED else ""
    return f"; there are {', '.join(list(known)[:_NAMED])}{more}" if known else ""


def _keys_at(model: type[BaseModel], place: Sequence[int | str]) -> Collection[str]:
    """The keys of the section at a place."""
    section: Any = model
    for part in place:
        if isinstance(part, int):  # an entry of a list, whose annotation was looked into already
            continue
        field = getattr(section, "model_fields", {}).get(part)
        section = _section_in(field.annotation) if field is not None else None
    return tuple(getattr(section, "model_fields", {}))


def _section_in(annotation: Any) -> Any:
    """The section that a key holds, by itself, in a list or where it may be left out."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_section_in, get_args(annotation)) if found is not None), None)
