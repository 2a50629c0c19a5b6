"""The tables of a made-up pool's selection; every one agrees with the others."""

import math

import numpy as np
import pyarrow as pa

from components import schemas
from tests.components.report.synthetic_pool import Pool

PRICE = 0.02


def make_table(schema: pa.Schema, **columns: object) -> pa.Table:
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def samples_table(pool: Pool) -> pa.Table:
    number = len(pool.sample_ids)
    return make_table(
        schemas.SAMPLES,
        sample_id=pool.sample_ids,
        task=pool.tasks,
        image_sha=pool.shas,
        uri=pool.uris,
        source=["data/pool.json"] * number,
        record_ids=[[f"record-{index}"] for index in range(number)],
        near_duplicate_of=[pool.shas[0] if index % 40 == 7 else "" for index in range(number)],
    )


def quarantine_table() -> pa.Table:
    reasons = [("truncated image", "3 of 9 kB")] * 9 + [("path leaves the image root", "../../etc/passwd")] * 2
    reasons += [("no image in the record", "")] * 14
    return make_table(
        schemas.QUARANTINE,
        source=["data/pool.json"] * len(reasons),
        record_id=[f"bad-{index}" for index in range(len(reasons))],
        image=[f"images/bad-{index}.png" if detail else "" for index, (_, detail) in enumerate(reasons)],
        reason=[reason for reason, _ in reasons],
        detail=[detail for _, detail in reasons],
    )


def chosen_table(pool: Pool, rows: np.ndarray) -> pa.Table:
    kept = np.flatnonzero(rows)
    return make_table(
        schemas.CHOSEN,
        sample_id=[pool.sample_ids[i] for i in kept],
        task=[pool.tasks[i] for i in kept],
        image_sha=[pool.shas[i] for i in kept],
    )


def scores_table(
    pool: Pool, tasks: dict[str, tuple[int, float]], is_reference: np.ndarray, rng: np.random.Generator
) -> tuple[pa.Table, pa.Table, dict[str, float]]:
    kept = np.flatnonzero(is_reference)
    means = np.array([tasks[pool.tasks[i]][1] for i in kept])
    irs = means * rng.lognormal(-0.03, 0.25, len(kept))
    table = make_table(
        schemas.SCORES,
        sample_id=[pool.sample_ids[i] for i in kept],
        task=[pool.tasks[i] for i in kept],
        loss_with_question=irs * 2.0,
        loss_without_question=np.full(len(kept), 2.0),
        instruction_relevance_score=irs,
        response_tokens=np.full(len(kept), 5),
    )
    names = sorted(tasks)
    of_task = np.array([pool.tasks[i] for i in kept])
    s = np.array([irs[of_task == name].mean() for name in names])
    raw = np.exp(-s * math.sqrt(len(names)))
    weights = raw / raw.sum()
    importance = make_table(
        schemas.IMPORTANCE,
        task=names,
        samples=[int((of_task == name).sum()) for name in names],
        score=s,
        weight=weights,
    )
    return table, importance, dict(zip(names, weights.tolist(), strict=True))


def allocation_table(pool: Pool, weights: dict[str, float], is_reference: np.ndarray, wanted: int) -> pa.Table:
    columns: dict[str, list[object]] = {name: [] for name in schemas.ALLOCATION.names}
    names = np.array(pool.tasks)
    shares, open_images = [], []
    for task in sorted(weights):
        of_task = names == task
        available = int((of_task & ~is_reference).sum())
        for cluster in np.unique(pool.clusters[of_task]):
            members = of_task & (pool.clusters == cluster)
            there = int((members & ~is_reference).sum())
            shares.append(weights[task] * there / max(available, 1) * wanted)
            open_images.append(there)
            columns["task"].append(task)
            columns["cluster"].append(int(cluster))
            columns["size"].append(int(members.sum()))
    quotas = np.minimum(np.floor(shares), open_images).astype(int)
    while quotas.sum() < min(wanted, sum(open_images)):
        lacking = np.where(quotas < open_images, np.array(shares) - quotas, -np.inf)
        quotas[int(lacking.argmax())] += 1
    columns |= {"available": [*open_images], "share": [*shares], "quota": quotas.tolist()}
    return make_table(schemas.ALLOCATION, **columns)


def selection_table(pool: Pool, allocation: pa.Table, is_reference: np.ndarray, rng: np.random.Generator) -> pa.Table:
    quotas = {(row["task"], row["cluster"]): row["quota"] for row in allocation.to_pylist()}
    centrality = np.where(is_reference, np.nan, 1 - rng.gamma(2.0, 0.04, len(is_reference)))
    rank = np.zeros(len(is_reference), np.int64)
    quota = np.zeros(len(is_reference), np.int64)
    names = np.array(pool.tasks)
    rows_of = {task: np.flatnonzero(names == task) for task, _ in quotas}
    for (task, cluster), wanted in quotas.items():
        members = rows_of[task][pool.clusters[rows_of[task]] == cluster]
        quota[members] = wanted
        there = members[~is_reference[members]]
        rank[there[np.argsort(-centrality[there])]] = np.arange(1, len(there) + 1)
    picked = ~is_reference & (rank <= quota)
    return make_table(
        schemas.SELECTION,
        sample_id=pool.sample_ids,
        task=pool.tasks,
        image_sha=pool.shas,
        cluster=pool.clusters,
        is_reference=is_reference,
        score=centrality,
        rank=rank,
        quota=quota,
        picked=picked,
        copies=picked.astype(int),
        reason=[
            "reference set" if ref else f"rank {r} of quota {q}"
            for ref, r, q in zip(is_reference, rank, quota, strict=True)
        ],
    )


def instructions_table(pool: Pool, rows: np.ndarray) -> pa.Table:
    kept = np.flatnonzero(rows)
    return make_table(
        schemas.INSTRUCTIONS,
        sample_id=[pool.sample_ids[i] for i in kept],
        task=[pool.tasks[i] for i in kept],
        image_sha=[pool.shas[i] for i in kept],
        request_id=[f"request-{i}" for i in kept],
        provider=["existing"] * len(kept),
        model=[""] * len(kept),
        turns=[[{"question": "What is it?", "response": "a thing"}]] * len(kept),
        input_tokens=np.full(len(kept), 70),
        output_tokens=np.full(len(kept), 4),
        price_usd=np.full(len(kept), PRICE),
        attempts=np.ones(len(kept)),
    )


def answered_at_once(instructions: pa.Table) -> pa.Table:
    """The sends of instructions that each came the first time."""
    rows = [
        {
            **{name: row[name] for name in row.keys() & set(schemas.ATTEMPT_ROWS.names)},
            "number": 1,
            "kind": "first",
            "outcome": "answered",
            "may_cost_usd": row["price_usd"],
            "error": "",
            "raw_text": "a thing",
        }
        for row in instructions.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=schemas.ATTEMPT_ROWS)
