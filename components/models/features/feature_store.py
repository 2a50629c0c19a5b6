"""The store of sample features; a database belongs to one model and one way to compute."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.models.lance_store import LanceStore

NORM = "norm"  # column of gradient norms before the projection


def feature_bytes(samples: int, width: int) -> int:
    """Bytes that the features of so many samples take, without what LanceDB writes beside them."""
    return samples * width * np.dtype(np.float32).itemsize


def sample_features(directory: Path) -> LanceStore:
    """The features in a LanceDB database, which may not exist yet."""
    return LanceStore(
        directory, name="features", key="sample_id", lack="samples have no features", extra=((NORM, pa.float64()),)
    )


def stored_samples(directory: Path) -> pa.Array:
    """List the ids of the samples that have features, unordered.

    Raises:
        RuntimeError: a sample has features twice.
    """
    return sample_features(directory).names()


def read_norms(directory: Path, sample_ids: Sequence[str]) -> NDArray[np.float64]:
    """Read gradient norms `(n,)` float64, before the projection, in the order asked.

    Raises:
        MissingVectorsError: samples without features; the first are named.
    """
    return np.asarray(sample_features(directory).read_extra(sample_ids, NORM), dtype=np.float64)


def read_features(directory: Path, sample_ids: Sequence[str]) -> NDArray[np.float32]:
    """Read features `(n, d)` float32 in the order asked.

    Raises:
        MissingVectorsError: samples without features; the first are named.
    """
    return sample_features(directory).read(sample_ids)


def scan_features(directory: Path) -> Iterator[tuple[pa.Array, NDArray[np.float32]]]:
    """Pass over all features once, in blocks of sample ids `(b,)` and vectors `(b, d)` float32."""
    return sample_features(directory).blocks()
