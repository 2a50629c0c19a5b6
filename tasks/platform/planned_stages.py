"""The stages of a dvc.yaml that a run would write and that is not written yet, as DVC sees them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.errors import UserError

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class PlannedFiles:
    """The dvc.yaml and params.yaml that a run would lay out first, which are not written yet."""

    pipeline: str
    parameters: str


class DamagedLockFileError(UserError, ValueError):
    """A dvc.lock is no YAML, for example because git left two versions in it."""


def planned_stages(repo: Any, path: str, planned: PlannedFiles) -> Iterator[Any]:
    """The stages of a dvc.yaml that is not written, with what dvc.lock knows of them."""
    from dvc.dependency.param import ParamsDependency
    from dvc.dvcfile import load_file
    from dvc.exceptions import DvcException
    from dvc.stage.loader import StageLoader
    from dvc.utils.serialize import load_yaml, parse_yaml

    file, lock = load_file(repo, path), Path(path).with_suffix(".lock")
    try:
        known = (load_yaml(str(lock)).get("stages") if lock.exists() else None) or {}
    except DvcException as error:
        raise DamagedLockFileError(
            f"{lock} cannot be read ({error}); bring it back from git, or delete it: what it named is found by a run"
        ) from error
    # As DVC reads them: its numbers are not PyYAML's.
    values = parse_yaml(planned.parameters, path)
    for name, entry in parse_yaml(planned.pipeline, path)["stages"].items():
        items = values[entry["foreach"].strip("${}")] if "foreach" in entry else [None]
        for item in items:
            text = json.dumps(entry if item is None else entry["do"]).replace("${item}", str(item))
            full_name = name if item is None else f"{name}@{item}"
            stage = StageLoader.load_stage(file, full_name, json.loads(text), known.get(full_name))
            for dependency in stage.deps:
                if isinstance(dependency, ParamsDependency):
                    dependency.read_params = partial(_values_of, values, tuple(dependency.params))
            yield stage


def _values_of(values: Any, names: Sequence[str], **_options: Any) -> dict[str, Any]:
    """The values of parameters by their dotted names; those that are not there are left out."""
    found = {}
    for name in names:
        value = values
        for part in name.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            found[name] = value
    return found
