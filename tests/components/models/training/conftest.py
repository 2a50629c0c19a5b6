from pathlib import Path

import pytest

from tests.components.models.vlm.samples import draw_samples
from tests.components.models.vlm.toy_architectures import save_toy_vlm


@pytest.fixture(scope="session")
def toy_llava(tmp_path_factory) -> Path:
    return save_toy_vlm("llava", tmp_path_factory.mktemp("toy") / "llava")


@pytest.fixture(scope="session")
def eight_samples(tmp_path_factory):
    return draw_samples(tmp_path_factory.mktemp("images"), 8, seed=3)
