"""The store of image vectors: one row per image and encoder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.models.lance_store import LanceStore

# Raise it with every change of the embedding code that changes vectors: those that are stored are then not reused.
VECTOR_VERSION = 1
FINGERPRINTED = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


def encoder_fingerprint(model: str, revision: str | None, *, dtype: str) -> str:
    """Name an encoder by what it computes, so that vectors of different weights never mix.

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model.
        dtype: as the parameters give it; bfloat16 and float32 vectors differ in the third digit.

    Returns:
        `sha256:` and 32 hex digits over configuration, preprocessing and weights of a folder (its name does
        not count), or `id@revision` for a Hub model; then the dtype and the version of the embedding code.

    Raises:
        ValueError: a Hub id without a revision, or a folder without configuration or safetensors weights.
    """
    folder = Path(model)
    if not folder.is_dir():
        if revision is None:
            raise ValueError(
                f"encoder.model {model!r} is no folder, so it is taken as a Hugging Face id, and "
                "encoder.revision is null: give the git revision, so that vectors do not change unnoticed"
            )
        return f"{model}@{revision}:{dtype}:v{VECTOR_VERSION}"
    files = sorted({path for pattern in FINGERPRINTED for path in folder.glob(pattern)})
    names = [path.name for path in files]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise ValueError(f"encoder folder {model!r} needs config.json and *.safetensors; it has {names}")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256:{digest.hexdigest()[:32]}:{dtype}:v{VECTOR_VERSION}"


def image_vectors(directory: Path, *, model: str) -> LanceStore:
    """The vectors of one encoder in a LanceDB database.

    Args:
        directory: the database; it may not exist yet.
        model: `encoder_fingerprint`.
    """
    return LanceStore(
        directory, name="vectors", key="image_sha", only=("model", model), lack=f"images have no vector of {model}"
    )


def stored_images(directory: Path, *, model: str) -> pa.Array:
    """List the sha256 of the images that have a vector of this encoder, unordered.

    Raises:
        RuntimeError: an image has two vectors of the same encoder.
    """
    return image_vectors(directory, model=model).names()


def read_vectors(directory: Path, image_shas: Sequence[str], *, model: str) -> NDArray[np.float32]:
    """Read the vectors of images, in the order asked.

    Args:
        directory: the LanceDB database.
        image_shas: (n,) sha256 of the images; one may be asked for more than once.
        model: `encoder_fingerprint`.

    Returns:
        (n, d) float32, as the encoder gave them (not normalised).

    Raises:
        MissingVectorsError: images without a vector of this encoder; the first are named.
    """
    return image_vectors(directory, model=model).read(image_shas)
