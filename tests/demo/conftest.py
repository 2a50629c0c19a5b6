from pathlib import Path

import pytest

from demo.write_pool import write_demo_pool

POOL_SEED = 3


@pytest.fixture(scope="session")
def demo_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One demo pool for all tests; nobody may change it."""
    root = tmp_path_factory.mktemp("demo") / "pool"
    write_demo_pool(root, seed=POOL_SEED)
    return root
