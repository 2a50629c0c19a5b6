"""Parameter files read, laid over each other and checked; every problem is reported together."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from reprlib import Repr
from typing import Any

import yaml
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails

from components.parameters.fixed import ADDED, without_fixed
from components.parameters.parameters import ParameterError, Parameters, TaskRule
from components.parameters.problems import describe_problem, is_echo
from components.strategies.load import load_sections
from components.strategies.names import STRATEGY_NAMES
from components.yaml_text import read_yaml

# The ledger's URL may hold a password, the endpoint's a key; every other value is shown in messages.
_MAY_HOLD_SECRETS = frozenset(
    {"instructions", "instructions.ledger", "purchase", "purchase.base_url", "purchase.key_variable"}
)

# A key that does not belong here may be a secret that was put in the wrong place.
_SECRET_NAME = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)

# Anchors make a value of any size of a few lines.
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 500, 500


@lru_cache
def _with_sections(strategies: tuple[str, ...]) -> type[Parameters]:  # noqa: ARG001 -- what the sections depend on
    """`Parameters` with the sections of the strategies, so that all of a file is checked together."""
    sections: dict[str, Any] = {name: (kind, ...) for name, kind in load_sections().items()}
    return create_model("Parameters", __base__=Parameters, **sections)


def parse_parameters(values: Mapping[str, object], *, origin: str) -> Parameters:
    """Check raw values and freeze them.

    Args:
        values: the YAML mapping.
        origin: where it came from, for the message.

    Returns:
        The parameters.

    Raises:
        ParameterError: unknown, missing or out-of-range keys; all of them are listed.
    """
    try:
        return _with_sections(STRATEGY_NAMES).model_validate(values)
    except ValidationError as error:
        problems = [item for item in error.errors() if not is_echo(item)]
        lines = [f"  {_said(item)}" for item in problems]
        raise ParameterError("\n".join([f"{origin}: {len(lines)} problem(s)", *lines])) from None


def parse_task_rule(text: str) -> TaskRule:
    """Read a task rule that is given by itself, such as `{field: task}`.

    Raises:
        ParameterError: it is no such rule.
    """
    try:
        return TaskRule.model_validate(read_yaml(text))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01, or what pydantic says
        said = " ".join(str(error).split())
        if isinstance(error, ValidationError):
            said = "; ".join(
                " ".join((".".join(map(str, item["loc"])), describe_problem(item, TaskRule))).strip()
                for item in error.errors()
            )
        raise ParameterError(f"{text!r} is no task rule such as {{field: task}} or {{prefix: true}}: {said}") from None


def _said(problem: ErrorDetails) -> str:
    """A problem with its key and, where that is no secret, its value."""
    where = ".".join(str(part) for part in problem["loc"])
    secret = where in _MAY_HOLD_SECRETS or (
        problem["type"] == "extra_forbidden" and _SECRET_NAME.search(where.rpartition(".")[2])
    )
    shown = problem["type"] != "missing" and not secret
    given = f" (got {_SHORT.repr(problem['input'])})" if shown and where else ""
    earlier = (
        f"; earlier versions did what {where.rpartition('.')[2]}: {ADDED[where]} says"
        if problem["type"] == "missing" and where in ADDED
        else ""
    )
    return f"{where or 'all'}: {describe_problem(problem, _with_sections(STRATEGY_NAMES))}{given}{earlier}"


def merge_overlays(base: Path, overlays: Sequence[Path] = (), settings: Sequence[str] = ()) -> dict[str, object]:
    """Read the base file, lay the overlays over it, then the `section.key=value` settings.

    Mappings merge key by key; lists and scalars replace.

    Raises:
        ParameterError: a file is not a YAML mapping, or a setting is not `a.b=value` with a YAML value.
    """
    merged = _read_mapping(base)
    for overlay in overlays:
        merged = _merge(merged, _read_mapping(overlay))
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ParameterError(f"--set {setting!r}: write section.key=value, e.g. tuning.learning_rate=0.001")
        try:
            nested: object = read_yaml(text)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
            # The value is not repeated: it may be the ledger's URL with a password.
            problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else type(error).__name__
            raise ParameterError(f"--set {key}: its value is not YAML ({problem}); quote it") from None
        for part in reversed(key.split(".")):
            nested = {part: nested}
        assert isinstance(nested, dict)
        merged = _merge(merged, nested)
    return merged


def load_parameters(path: Path) -> Parameters:
    """Read and check one complete parameter file."""
    return parse_parameters(_read_mapping(path), origin=str(path))


def _read_mapping(path: Path) -> dict[str, object]:
    try:
        value = read_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ParameterError(f"no parameter file {path}") from None
    except OSError as error:
        raise ParameterError(f"parameter file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is not text in UTF-8 ({error}); save it as UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise ParameterError(f"{path} is not YAML: {error}") from None
    if not isinstance(value, dict):
        raise ParameterError(f"{path} must be a mapping of sections, got {type(value).__name__}")
    kept, problems = without_fixed(value)
    if problems:
        raise ParameterError("\n".join([f"{path}: {len(problems)} problem(s)", *problems]))
    return kept


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        present = merged.get(key)
        merged[key] = _merge(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return merged
