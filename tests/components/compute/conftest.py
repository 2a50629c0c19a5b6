"""One small Ray instance for all tests of a process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.compute.ray_cluster import join, leave
from components.compute.ray_engine import RayEngine
from components.parameters.compute import ComputeParameters
from components.parameters.reading import load_parameters

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ROOT = Path(__file__).resolve().parents[3]


def compute_parameters(**changes: object) -> ComputeParameters:
    shipped = load_parameters(ROOT / "params.yaml").compute
    return shipped.model_copy(update={"engine": "ray", **changes})


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[RayEngine]:
    os.chdir(ROOT)
    engine = RayEngine(compute_parameters())
    before = [signal.getsignal(number) for number in SIGNALS]
    join(engine.parameters)
    assert [signal.getsignal(number) for number in SIGNALS] == before, "they are still the program's"
    yield engine
    leave()
