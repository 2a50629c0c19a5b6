"""How many images each cluster gives (Eq. 6 of PreSel), in three ways to round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, fsum, isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.selection.allocation_rounding import round_to_largest_remainders, spread_by_weight

# A share this close to the next whole number is that number in profile `paper`: a third of 300 is 100 images,
# although a third as a float is a little less.
_DIGITS = 9

RoundingProfile = Literal["exact", "paper", "released"]


@dataclass(frozen=True, slots=True)
class TaskAllocation:
    """What one task gets.

    Attributes:
        task: the task.
        weight: w of Eq. 5.
        available: its images outside the reference set.
        share: w |D_S|, images before rounding and before any cap.
        quota: images to pick, at most `available`.
    """

    task: str
    weight: float
    available: int
    share: float
    quota: int


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """The budget spread over the clusters.

    Attributes:
        shares: `(K,)` float64, Eq. 6 before rounding and before any cap, images.
        quotas: `(K,)` int64, images to pick from each cluster, at most its available images.
        tasks: what each task gets, in the order of the weights.
        unspent: images of the budget that no cluster was given; 0 when kept images alone are more than the budget.
        unspent_reason: why, for a person; empty when all is spent.
    """

    shares: NDArray[np.float64]
    quotas: NDArray[np.int64]
    tasks: tuple[TaskAllocation, ...]
    unspent: int
    unspent_reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    tasks: tuple[str, ...]  # M, in the order of the weights
    weights: tuple[float, ...]  # M
    rows: tuple[NDArray[np.int64], ...]  # M, the cells of each task
    sizes: NDArray[np.int64]  # (K,)
    available: NDArray[np.int64]  # (K,)
    kept: NDArray[np.int64]  # (K,)
    budget: int

    def task_available(self) -> list[int]:
        return [int(self.available[rows].sum()) for rows in self.rows]

    def task_kept(self) -> list[int]:
        return [int(self.kept[rows].sum()) for rows in self.rows]

    def normalised_weights(self) -> list[Fraction]:
        exact = [Fraction(weight) for weight in self.weights]
        return [weight / sum(exact) for weight in exact]

    def task_shares(self) -> list[Fraction]:
        return [weight * self.budget for weight in self.normalised_weights()]


def allocate(
    task_of_cluster: Sequence[str],
    cluster_sizes: NDArray[np.int64],
    available: NDArray[np.int64],
    weights: Mapping[str, float],
    *,
    budget: int,
    profile: RoundingProfile,
    kept: NDArray[np.int64] | None = None,
) -> Allocation:
    """Spread the budget over the clusters: n_c = w_i |A_c| / |T_i| |D_S| (Eq. 6), rounded.

    `A_c` and `T_i` leave reference images out. The profiles:

    - `paper`: the floor, as printed. Part of the budget stays unspent.
    - `exact`: the floor, then the largest remainders. A task never gets more than it has; what it cannot take
      goes to the other tasks in proportion to their weights. Sums to the budget unless the pool is smaller.
      What a task is due is rounded up or down, and its quota never falls when its weight rises.
    - `released`: what the authors' LLaVA code does. Task shares are truncated and the remainder goes
      to the largest weight; clusters are rounded half to even and corrected by one image each in one pass.
      May fall short of the budget.

    Images that an earlier curation picked stay: the quota of a cluster is at least what is kept of it. What a task
    keeps beyond its share is taken from the other tasks, what a cluster keeps beyond its share from the other clusters
    of its task, always in proportion. The budget is then met exactly as well, unless what is kept is more.

    Args:
        task_of_cluster: task of each cluster, `K` of them.
        cluster_sizes: `(K,)` int, all images of the cluster; orders the corrections of `released`.
        available: `(K,)` int, images outside the reference set, 0 to the size.
        weights: w of every task, non-negative, sum 1; a task without clusters is one without images.
        budget: |D_S|, images to pick in total, at least 0.
        profile: how to round; only `exact` can keep images.
        kept: `(K,)` int, images of each cluster that were picked earlier and stay, at most the available; None: none.

    Returns:
        Quotas aligned with the clusters, and what each task gets. Equal remainders: tasks by name, clusters
        by available images descending, then the earlier one.

    Raises:
        ValueError: lengths differ, counts or weights are out of range, a cluster's task has no weight, or images are
            kept in another profile than `exact`.
    """
    problem = _check(task_of_cluster, cluster_sizes, available, weights, kept, budget)
    if profile not in _PROFILES:
        raise ValueError(f"rounding profile {profile!r} is unknown; choose one of {', '.join(_PROFILES)}")
    if profile != "exact" and problem.kept.any():
        raise ValueError(
            f"rounding profile {profile!r} cannot keep the {problem.kept.sum()} images that were picked earlier; set "
            "allocate.rounding to exact, or curate from scratch (`presel run --from-scratch`)"
        )
    quotas = _PROFILES[profile](problem)  # (K,)
    assert bool(np.all((quotas >= problem.kept) & (quotas <= problem.available)))
    shares = np.array(_shares(problem, problem.task_shares()), dtype=np.float64)  # (K,)
    unspent = budget - int(quotas.sum()) if budget > problem.kept.sum() else 0
    tasks = tuple(
        TaskAllocation(task, weight, images, float(share), int(quotas[rows].sum()))
        for task, weight, images, share, rows in zip(
            problem.tasks,
            problem.weights,
            problem.task_available(),
            problem.task_shares(),
            problem.rows,
            strict=True,
        )
    )
    return Allocation(shares, quotas, tasks, unspent, _unspent_reason(problem, tasks, unspent, profile))


def _allocate_paper(problem: _Problem) -> NDArray[np.int64]:
    floors = [floor(round(float(share), _DIGITS)) for share in _shares(problem, problem.task_shares())]
    return np.minimum(np.array(floors, dtype=np.int64), problem.available)


def _allocate_exact(problem: _Problem) -> NDArray[np.int64]:
    task_available = problem.task_available()
    targets = spread_by_weight(problem.normalised_weights(), task_available, problem.budget, floors=problem.task_kept())
    by_name = sorted(problem.tasks)
    task_quotas = round_to_largest_remainders(
        targets,
        max(min(problem.budget, sum(task_available)), int(problem.kept.sum())),
        ties=[by_name.index(task) for task in problem.tasks],
    )
    quotas = np.zeros(len(problem.available), dtype=np.int64)  # (K,)
    for rows, target, task_quota in zip(problem.rows, targets, task_quotas, strict=True):
        images = problem.available[rows].tolist()
        shares = spread_by_weight(
            [Fraction(count) for count in images], images, target, floors=problem.kept[rows].tolist()
        )
        quotas[rows] = round_to_largest_remainders(shares, task_quota, ties=(-problem.available[rows]).tolist())
    return quotas


def _allocate_released(problem: _Problem) -> NDArray[np.int64]:
    task_quotas = [int(weight * problem.budget) for weight in problem.weights]
    task_quotas[int(np.argmax(problem.weights))] += problem.budget - sum(task_quotas)
    quotas = np.zeros(len(problem.available), dtype=np.int64)  # (K,)
    for rows, task_quota in zip(problem.rows, task_quotas, strict=True):
        available, sizes = problem.available[rows], problem.sizes[rows]  # (k,), (k,)
        images = int(available.sum())
        if not images:
            continue
        given = [min(round(count / images * task_quota), count) for count in available.tolist()]
        missing = task_quota - sum(given)
        step = 1 if missing > 0 else -1
        for cell in sorted(range(len(rows)), key=lambda cell: -step * int(sizes[cell])):
            if missing and 0 <= given[cell] + step <= available[cell]:
                given[cell] += step
                missing -= step
        quotas[rows] = given
    return quotas


_PROFILES: dict[RoundingProfile, Callable[[_Problem], NDArray[np.int64]]] = {
    "exact": _allocate_exact,
    "paper": _allocate_paper,
    "released": _allocate_released,
}


def _shares(problem: _Problem, task_totals: Sequence[Fraction]) -> list[Fraction]:
    """Each task's total over its clusters in proportion to their available images, `K`."""
    shares = [Fraction(0)] * len(problem.available)
    for rows, total, images in zip(problem.rows, task_totals, problem.task_available(), strict=True):
        for row in rows.tolist():
            shares[row] = total * int(problem.available[row]) / max(images, 1)
    return shares


def _unspent_reason(problem: _Problem, tasks: Sequence[TaskAllocation], unspent: int, profile: RoundingProfile) -> str:
    if not unspent:
        return ""
    pool = int(problem.available.sum())
    if problem.budget > pool and unspent == problem.budget - pool:
        return f"the pool has only {pool} images outside the reference set for a budget of {problem.budget}"
    full = [f"{task.task} ({task.available} of {task.share:.1f})" for task in tasks if task.share > task.available]
    short = f"; smaller than their share: {', '.join(full)}" if full else ""
    return f"profile {profile} rounds without handing out the rest{short}"


def _check(
    task_of_cluster: Sequence[str],
    cluster_sizes: NDArray[np.int64],
    available: NDArray[np.int64],
    weights: Mapping[str, float],
    kept: NDArray[np.int64] | None,
    budget: int,
) -> _Problem:
    sizes = np.asarray(cluster_sizes, dtype=np.int64)  # (K,)
    free = np.asarray(available, dtype=np.int64)  # (K,)
    staying = np.zeros_like(free) if kept is None else np.asarray(kept, dtype=np.int64)  # (K,)
    if not sizes.shape == free.shape == staying.shape == (len(task_of_cluster),):
        raise ValueError(
            f"{len(task_of_cluster)} tasks, sizes {sizes.shape}, available {free.shape} and kept {staying.shape}; "
            "give one of each per cluster"
        )
    wrong = np.flatnonzero((free < 0) | (free > sizes))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(f"cluster row {row} has {free[row]} available of {sizes[row]} images; allowed: 0 to all")
    wrong = np.flatnonzero((staying < 0) | (staying > free))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(f"cluster row {row} keeps {staying[row]} of {free[row]} available images; allowed: 0 to all")
    if budget < 0:
        raise ValueError(f"budget is {budget} images; it must not be negative")
    unusable = {task: weight for task, weight in weights.items() if not isfinite(weight) or weight < 0}
    if unusable:
        raise ValueError(f"weights must be finite and not negative, got {unusable}")
    if abs(fsum(weights.values()) - 1) > 1e-6:
        raise ValueError(f"weights sum to {fsum(weights.values())}, not 1; pass the weights of all tasks (Eq. 5)")
    rows_of_task: dict[str, list[int]] = {task: [] for task in weights}
    for row, task in enumerate(task_of_cluster):
        if task not in rows_of_task:
            raise ValueError(f"task {task!r} has clusters but no weight; score its reference samples first")
        rows_of_task[task].append(row)
    rows = tuple(np.array(cells, dtype=np.int64) for cells in rows_of_task.values())
    return _Problem(tuple(weights), tuple(weights.values()), rows, sizes, free, staying, budget)
