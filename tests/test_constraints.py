"""The constraints pin all that is installed, on every Python that the project supports."""

from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def pinned() -> set[str]:
    """The names that the file gives a version for."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}


def extras_of(package: Distribution) -> list[str]:
    """Of the project all that it has; of what it needs none."""
    return package.metadata.get_all("Provides-Extra") or [""] if package.metadata["Name"] == "presel" else [""]


@cache
def installed() -> list[tuple[str, list[Requirement], list[str]]]:
    """What is installed and pinned, or is the project: its name, what it needs, and its extras that are installed."""
    names = {*pinned(), "presel"}
    found = [package for package in distributions() if canonicalize_name(package.metadata["Name"]) in names]
    return [
        (package.metadata["Name"], [Requirement(text) for text in package.requires or ()], extras_of(package))
        for package in found
    ]


@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.11.14", "3.12.0", "3.12.12"])
def test_what_a_package_needs_on_some_pythons_alone_is_pinned_too(python: str) -> None:
    """As async-timeout, which what talks to Redis needs before Python 3.11.3."""
    names = pinned()
    at: dict[str, Any] = {**default_environment()}
    at |= {"python_version": python.rpartition(".")[0], "python_full_version": python}
    needed = {
        canonicalize_name(one.name): name
        for name, requirements, extras in installed()
        for one in requirements
        if one.marker is None or any(one.marker.evaluate({**at, "extra": extra}) for extra in extras)
    }
    assert len(needed) > 100
    assert {name: by for name, by in needed.items() if name not in names} == {}
