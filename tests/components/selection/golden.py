"""The released code's inputs and outputs (tests/golden/README.md) as arrays over a whole pool."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = ("presel_a", "presel_b")


@dataclass(frozen=True, slots=True)
class GoldenPool:
    sample_ids: list[str]
    tasks: list[str]
    clusters: NDArray[np.int64]
    is_reference: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    score_tasks: list[str]
    scores: NDArray[np.float64]
    picked: frozenset[str]
    mean_scores: list[float]
    weights: list[float]
    temperature: float
    to_select: int
    task_quotas: list[int]


def load_golden(name: str) -> GoldenPool:
    arrays = np.load(GOLDEN / f"{name}.npz", allow_pickle=False)
    summary = json.loads(str(arrays["summary"]))
    parts = range(len(summary["weights"]))
    ids = [arrays[f"ids_{part}"] for part in parts]
    return GoldenPool(
        sample_ids=[_name(at) for part in parts for at in ids[part]],
        tasks=[_task(part) for part in parts for _ in ids[part]],
        clusters=np.concatenate([arrays[f"labels_{part}"] for part in parts]).astype(np.int64),
        is_reference=np.concatenate([np.isin(ids[part], arrays[f"reference_ids_{part}"]) for part in parts]),
        vectors=np.concatenate([arrays[f"features_{part}"] for part in parts]),
        score_tasks=[_task(part) for part in parts for _ in arrays[f"irs_{part}"]],
        scores=np.concatenate([arrays[f"irs_{part}"] for part in parts]),
        picked=frozenset(_name(at) for part in parts for at in arrays[f"selected_ids_{part}"]),
        mean_scores=summary["irs_mean"],
        weights=summary["weights"],
        temperature=summary["tau"],
        to_select=summary["N"],
        task_quotas=summary["alloc"],
    )


def _name(number: int) -> str:
    return f"{number:05d}"


def _task(part: int) -> str:
    return f"task_{part}"
