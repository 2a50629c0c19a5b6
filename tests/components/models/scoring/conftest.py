"""Toy models for the tests of components.models.scoring."""

from pathlib import Path

import pytest

from components.models.vlm.load import LoadedVlm
from tests.components.models.vlm.samples import load_toy
from tests.components.models.vlm.toy_architectures import save_toy_vlm


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the toy LLaVA."""
    return save_toy_vlm("llava", tmp_path_factory.mktemp("toy_vlms") / "llava")


@pytest.fixture(scope="session")
def vlm(llava_folder: Path) -> LoadedVlm:
    """The toy LLaVA; not to be changed."""
    return load_toy(llava_folder)
