"""How much of the budget each task deserves, from the reference set's scores (Eq. 4-5 of PreSel)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TaskImportance:
    """What the reference set says of one task.

    Attributes:
        task: the task.
        samples: reference samples that carry a finite score.
        score: s(T), their mean Instruction Relevance Score; lower means more important.
        weight: w, share of the budget; sums to 1 over the tasks, higher means more images.
    """

    task: str
    samples: int
    score: float
    weight: float


def task_importance(
    tasks: Sequence[str], instruction_relevance_scores: NDArray[np.float64]
) -> tuple[TaskImportance, ...]:
    """Weigh the tasks: w = softmax(-s / tau) with s the mean score and tau = 1 / sqrt(M) (Eq. 4-5).

    Args:
        tasks: the task of each reference sample, `n` of them; every task of the pool must occur.
        instruction_relevance_scores: `(n,)` float64, Eq. 3, lower means that the question matters more;
            NaN or infinite where a sample could not be scored, which leaves it out of the mean.

    Returns:
        One record per task, sorted by task.

    Raises:
        ValueError: the lengths differ, there is no sample, or a task has no finite score.
    """
    scores = np.asarray(instruction_relevance_scores, dtype=np.float64)  # (n,)
    if scores.shape != (len(tasks),):
        raise ValueError(
            f"scores have shape {scores.shape} but there are {len(tasks)} tasks; give one score per sample"
        )
    if not len(tasks):
        raise ValueError("no reference sample was scored; choose a reference set and score it first")
    names, task_of_row = np.unique(np.asarray(tasks, dtype=object).astype(str), return_inverse=True)  # (M,), (n,)
    finite = np.isfinite(scores)  # (n,)
    counts = np.bincount(task_of_row[finite], minlength=len(names))  # (M,)
    if (counts == 0).any():
        unscored = [str(name) for name in names[counts == 0]]
        raise ValueError(
            f"no reference sample of task(s) {', '.join(unscored)} has a finite score; "
            "enlarge the reference set, repair its instructions, or leave the task out of the pool"
        )
    means = np.array([scores[finite & (task_of_row == task)].mean() for task in range(len(names))])  # (M,)
    weights = _softmax(-means / importance_temperature(len(names)))  # (M,)
    return tuple(
        TaskImportance(task=str(name), samples=int(count), score=float(mean), weight=float(weight))
        for name, count, mean, weight in zip(names, counts, means, weights, strict=True)
    )


def importance_temperature(task_count: int) -> float:
    """Tau of Eq. 5, `1 / sqrt(M)`: the more tasks there are, the sharper they are told apart."""
    if task_count < 1:
        raise ValueError(f"task count is {task_count}; at least one task is needed")
    return float(1 / np.sqrt(task_count))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # The maximum is subtracted so that no exponential overflows, however far the scores lie apart.
    exponentials = np.exp(logits - logits.max())
    weights: NDArray[np.float64] = exponentials / exponentials.sum()
    return weights
