"""Which code runs: workers of a cluster must be of the version that the cache keys speak of."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_COMPONENTS = Path(__file__).resolve().parents[1]
_DECIDING = ("numpy", "pillow", "torch", "transformers")


@cache
def code_fingerprint() -> str:
    """A digest of the modules of `components` and of the versions of the libraries that results come from."""
    digest = hashlib.sha256()
    for file in sorted(_COMPONENTS.rglob("*.py")):
        digest.update(f"{file.relative_to(_COMPONENTS)}\0".encode())
        digest.update(file.read_bytes())
    for name in _DECIDING:
        # Without what stands behind the plus: torch for a CPU and for a GPU may stand side by side in a cluster.
        digest.update(f"{name}={version(name).partition('+')[0]}\0".encode())
    return digest.hexdigest()
