"""The task of a record, by the rule that the parameters give its source."""

import re
from collections.abc import Mapping

from components.parameters.parameters import TaskRule


class NoTaskError(ValueError):
    """The rule finds no task; the message says why."""


def derive_task(rule: TaskRule, *, fields: Mapping[str, object], path: str) -> str:
    """Find the task of a record.

    Args:
        rule: exactly one of field, prefix, pattern, constant.
        fields: the record's fields, for `field`.
        path: the image's path below the root, `/` between its parts, for `prefix` and `pattern`.

    Returns:
        The task, never empty.

    Raises:
        NoTaskError: the field is missing or not text, the path has no folder, or the pattern does not match.
    """
    if rule.constant is not None:
        return _checked(rule.constant, "the constant")
    if rule.field is not None:
        if fields.get(rule.field) is None:
            raise NoTaskError(f"no field {rule.field!r}, which holds the task")
        return _checked(fields[rule.field], f"field {rule.field!r}")
    if rule.pattern is not None:
        match = re.search(rule.pattern, path)
        if match is None:
            raise NoTaskError(f"pattern {rule.pattern!r} does not match {path!r}")
        return _checked(match["task"], f"group 'task' of {rule.pattern!r}")
    folder, separator, _ = path.partition("/")
    if not separator:
        raise NoTaskError(f"{path!r} has no folder, whose name would be the task")
    return _checked(folder, "the first folder")


def _checked(task: object, where: str) -> str:
    if not isinstance(task, str):
        raise NoTaskError(f"{where} must be text, got {type(task).__name__} {str(task)[:80]!r}")
    if not task.strip():
        raise NoTaskError(f"{where} is empty")
    return task.strip()
