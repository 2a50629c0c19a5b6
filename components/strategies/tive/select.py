"""TIVE over a whole pool: influence and difficulty as tables, and the selection with a reason for every sample."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.schemas import CHOSEN, DIFFICULTY, INFLUENCE, SELECTION
from components.selection.by_task import task_seed, tasks_of
from components.strategies.tive.influence_sampling import distance_from_uniform, draw_copies, sampling_probabilities
from components.strategies.tive.task_difficulty import QuotaRounding, SelfInfluence, task_difficulty, tive_quotas
from components.text import shortened


@dataclass(frozen=True, slots=True)
class InfluenceTables:
    """What TIVE knows before it draws.

    Attributes:
        influence: INFLUENCE, sorted by sample_id.
        difficulty: DIFFICULTY, sorted by task.
    """

    influence: pa.Table
    difficulty: pa.Table


def influence_tables(
    samples: pa.Table,
    norms: NDArray[np.float64],
    influence: NDArray[np.float64],
    *,
    budget: int,
    q: float,
    self_influence: SelfInfluence,
    rounding: QuotaRounding,
) -> InfluenceTables:
    """Difficulty and quota of every task, probability of every sample.

    Args:
        samples: CHOSEN columns of the samples that have a gradient, `N` rows.
        norms: `(N,)` gradient norms before the projection.
        influence: `(N,)`, from `instance_influence`.
        budget: samples to train on.
        q: of the sampling probabilities.
        self_influence: what difficulty is the mean of.
        rounding: of the quotas.

    Raises:
        ValueError: a length, norm or budget is not usable.
    """
    difficulties = task_difficulty(samples["task"].to_pylist(), norms, self_influence=self_influence)
    sizes = [item.samples for item in difficulties]
    quotas = tive_quotas([item.share for item in difficulties], sizes, budget=budget, rounding=rounding)
    columns = [*(samples[name] for name in CHOSEN.names), pa.array(norms), pa.array(influence)]
    table = pa.table(columns, names=[*CHOSEN.names, "gradient_norm", "influence"]).sort_by("sample_id")
    parts, rows = [], []
    for item, quota, (_, members) in zip(difficulties, quotas, tasks_of(table), strict=True):
        probabilities = sampling_probabilities(members["influence"].to_numpy(), q=q)  # (n,)
        parts.append(members.append_column("probability", pa.array(probabilities)).cast(INFLUENCE))
        distance = distance_from_uniform(probabilities)
        rows.append((item.task, item.samples, item.difficulty, item.share, quota, distance))
    return InfluenceTables(
        influence=pa.concat_tables(parts).sort_by("sample_id").combine_chunks(),
        difficulty=pa.table(list(zip(*rows, strict=True)), schema=DIFFICULTY),
    )


def select_by_influence(influence: pa.Table, difficulty: pa.Table, *, seed: int) -> pa.Table:
    """Draw every task's quota.

    Args:
        influence: INFLUENCE.
        difficulty: DIFFICULTY.
        seed: each task's own seed derives from it and the task's name, so a new task changes no other.

    Returns:
        SELECTION, sorted by sample_id.
    """
    quota_of = dict(zip(difficulty["task"].to_pylist(), difficulty["quota"].to_pylist(), strict=True))
    parts = []
    for task, members in tasks_of(influence.sort_by("sample_id")):
        quota, count = quota_of[task], members.num_rows
        rng = np.random.default_rng(task_seed(seed, task))
        copies = draw_copies(members["probability"].to_numpy(), quota, rng=rng)  # (n,)
        scores = members["influence"].to_numpy()  # (n,)
        chances = members["probability"].to_pylist()
        rank = np.empty(count, dtype=np.int64)  # (n,)
        rank[np.argsort(-scores, kind="stable")] = np.arange(1, count + 1)
        columns = [
            *(members[name] for name in CHOSEN.names),
            pa.array(np.full(count, -1)),
            pa.array(np.zeros(count, dtype=bool)),
            pa.array(scores),
            pa.array(rank),
            pa.array(np.full(count, quota)),
            pa.array(copies > 0),
            pa.array(copies),
            pa.array(
                [_reason(task, *pair, quota, count) for pair in zip(copies.tolist(), chances, strict=True)], pa.string()
            ),
        ]
        parts.append(pa.table(columns, schema=SELECTION))
    return pa.concat_tables(parts).sort_by("sample_id").combine_chunks()


def _reason(task: str, copies: int, chance: float, quota: int, count: int) -> str:
    task = shortened(task)
    if copies > 1:
        return f"drawn, and repeated {copies} times: the quota of {task} ({quota:,}) is above its {count:,} samples"
    if quota >= count:
        return f"drawn: the quota of {task} ({quota:,}) takes in all of its {count:,} samples"
    odds = f"its chance in the first draw was {chance:.3g}, {chance * count:.4f} times an even one"
    if copies:
        return f"drawn: one of {quota:,} of the {count:,} samples of {task}; {odds}"
    return f"not drawn: {quota:,} of the {count:,} samples of {task} were; {odds}"
