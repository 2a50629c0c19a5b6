"""COINCIDE over a whole pool: clusters, shares and picks as tables, with a reason for every sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.compute.engine import Engine
from components.schemas import CHOSEN, CONCEPT_CENTROIDS, CONCEPT_SHARES, CONCEPTS, SELECTION, TYPICALITY
from components.selection.vectors import normalise
from components.strategies.coincide.concept_shares import (
    concept_density,
    concept_quotas,
    concept_shares,
    transferability,
)
from components.strategies.coincide.gaussian_kernel import GAMMA, CoincideProfile, kernel_row_sums
from components.strategies.coincide.greedy_mmd import greedy_mmd
from components.strategies.coincide.spherical_k_means import spherical_k_means


@dataclass(frozen=True, slots=True, eq=False)
class ConceptTables:
    """The concept clusters.

    Attributes:
        concepts: CONCEPTS, sorted by sample_id.
        centroids: CONCEPT_CENTROIDS, sorted by cluster.
    """

    concepts: pa.Table
    centroids: pa.Table


@dataclass(frozen=True, slots=True, eq=False)
class ConceptShares:
    """What each concept cluster gets, and the kernel means that this and the picking rest on.

    Attributes:
        shares: CONCEPT_SHARES, sorted by cluster.
        typicality: TYPICALITY, sorted by sample_id.
    """

    shares: pa.Table
    typicality: pa.Table


def cluster_concepts(
    samples: pa.Table, features: NDArray[np.float32], *, clusters: int, iterations: int, seed: int, engine: Engine
) -> ConceptTables:
    """Cluster the pool by what the small model makes of it, tasks mixed.

    Args:
        samples: CHOSEN columns of the samples that have activations, sorted by sample_id.
        features: `(n, d)` their activations, unit length.
        clusters: K.
        iterations: of k-means.
        seed: of k-means.
        engine: where they are clustered.
    """
    k_means = partial(spherical_k_means, clusters=clusters, iterations=iterations, seed=seed)
    [found] = engine.each([features], k_means, name="concepts")
    columns = [*(samples[name] for name in CHOSEN.names), pa.array(found.labels), pa.array(found.similarity)]
    count = len(found.centroids)
    centroids = [np.arange(count), np.bincount(found.labels, minlength=count), found.centroids.tolist()]
    return ConceptTables(pa.table(columns, schema=CONCEPTS), pa.table(centroids, schema=CONCEPT_CENTROIDS))


def concept_share_table(
    concepts: pa.Table,
    centroids: pa.Table,
    features: NDArray[np.float32],
    *,
    layers: int,
    budget: int,
    temperature: float,
    profile: CoincideProfile,
) -> ConceptShares:
    """Transferability, density, share and quota of every cluster.

    Args:
        concepts: CONCEPTS, sorted by sample_id.
        centroids: CONCEPT_CENTROIDS.
        features: `(n, d)`, the activations of its rows; may be memory-mapped.
        layers: number of layers that the activations are made of.
        budget: samples to pick.
        temperature: tau.
        profile: `paper` or `released`.

    Returns:
        The shares, and the typicality of every sample, which `select_by_concept` would else compute again.
    """
    matrix = np.array(centroids["centroid"].to_pylist(), dtype=np.float32)  # (K, d)
    carried = transferability(matrix, layers=layers, profile=profile)  # (K,)
    typicality, dense = np.empty(concepts.num_rows), np.empty(len(matrix))  # (n,), (K,)
    for cluster, rows, vectors in _clusters(concepts, features):
        sums = kernel_row_sums(vectors, gamma=GAMMA[profile])  # (members,)
        dense[cluster] = concept_density(sums, profile=profile)
        typicality[rows] = sums / len(rows)
    shares = concept_shares(carried, dense, temperature=temperature)  # (K,)
    sizes = centroids["size"].to_numpy()  # (K,)
    quotas = concept_quotas(shares, sizes, budget=budget, profile=profile)
    return ConceptShares(
        shares=pa.table([centroids["cluster"], sizes, carried, dense, shares, quotas], schema=CONCEPT_SHARES),
        typicality=pa.table([concepts["sample_id"], typicality], schema=TYPICALITY),
    )


def select_by_concept(
    concepts: pa.Table, found: ConceptShares, features: NDArray[np.float32], *, profile: CoincideProfile
) -> pa.Table:
    """Pick every cluster's quota by greedy MMD; one cluster's vectors are in memory at a time.

    Args:
        concepts: CONCEPTS, sorted by sample_id.
        found: as `concept_share_table` returned it for the same clusters and profile.
        features: `(n, d)`, the activations of its rows; may be memory-mapped.
        profile: decides the kernel's width.

    Returns:
        SELECTION, sorted by sample_id.
    """
    quota_of = dict(zip(found.shares["cluster"].to_pylist(), found.shares["quota"].to_pylist(), strict=True))
    all_typicality = found.typicality["typicality"].to_numpy()  # (n,)
    parts = []
    for cluster, rows, vectors in _clusters(concepts, features):
        members, typicality = concepts.take(rows), all_typicality[rows]
        quota, count = quota_of[cluster], len(rows)
        rank = np.zeros(count, dtype=np.int64)  # (n,)
        rank[greedy_mmd(vectors, typicality, quota, gamma=GAMMA[profile])] = np.arange(1, quota + 1)
        columns = [
            *(members[name] for name in CHOSEN.names),
            members["cluster"],
            pa.array(np.zeros(count, dtype=bool)),
            pa.array(typicality),
            pa.array(rank),
            pa.array(np.full(count, quota)),
            pa.array(rank > 0),
            pa.array((rank > 0).astype(np.int64)),
            pa.array([_reason(int(place), quota, count) for place in rank], pa.string()),
        ]
        parts.append(pa.table(columns, schema=SELECTION))
    return pa.concat_tables(parts).sort_by("sample_id").combine_chunks()


def _clusters(
    concepts: pa.Table, features: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    """Each cluster by number: its row numbers, and their unit vectors."""
    labels = concepts["cluster"].to_numpy()  # (n,)
    order = np.argsort(labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        yield int(labels[rows[0]]), rows, normalise(features[rows], np.float64)


def _reason(place: int, quota: int, count: int) -> str:
    if place and quota == count:
        return "picked: its cluster is taken whole"
    if place:
        return f"picked: number {place:,} of {quota:,} that together look most like their cluster of {count:,}"
    if quota:
        return f"passed over: the {quota:,} picks of its cluster of {count:,} look like the cluster without it"
    return "passed over: its cluster was given no image"
