"""Toy models for the tests of components.models.vlm."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from components.models.vlm.load import LoadedVlm
from tests.components.models.vlm.samples import load_toy
from tests.components.models.vlm.toy_architectures import EXAMPLES, save_toy_vlm


@pytest.fixture(scope="session")
def toy_vlm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a toy architecture, built once per session."""
    root = tmp_path_factory.mktemp("toy_vlms")
    return lru_cache(maxsize=None)(lambda architecture: save_toy_vlm(architecture, root / architecture))


@pytest.fixture(scope="session")
def loaded(toy_vlm: Callable[[str], Path]) -> Callable[[str], LoadedVlm]:
    """A toy architecture, loaded once per session; not to be changed."""
    return lru_cache(maxsize=None)(lambda architecture: load_toy(toy_vlm(architecture)))


@pytest.fixture(params=EXAMPLES)
def vlm(request: pytest.FixtureRequest, loaded: Callable[[str], LoadedVlm]) -> LoadedVlm:
    """Several toy architectures in turn; not to be changed."""
    return loaded(request.param)
