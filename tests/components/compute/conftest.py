"""One small Ray instance for all tests of a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.compute.ray_cluster import join, leave
from components.compute.ray_engine import RayEngine
from components.parameters.compute import ComputeParameters
from components.parameters.reading import load_parameters

ROOT = Path(__file__).resolve().parents[3]


def compute_parameters(**changes: object) -> ComputeParameters:
    shipped = load_parameters(ROOT / "params.yaml").compute
    return shipped.model_copy(update={"engine": "ray", **changes})


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[RayEngine]:
    os.chdir(ROOT)
    engine = RayEngine(compute_parameters())
    join(engine.parameters)
    yield engine
    leave()
