"""What ingest refused, by reason."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class RefusedReason:
    """One reason: how often it applied, and one example."""

    reason: str
    records: int
    example: str


def refused_reasons(quarantine: pa.Table) -> tuple[RefusedReason, ...]:
    """The reasons of QUARANTINE, the most frequent first."""
    reasons = Counter(quarantine["reason"].to_pylist())
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return tuple(RefusedReason(reason, number, _example(quarantine, reason)) for reason, number in ordered)


def near_duplicates(samples: pa.Table) -> int:
    """Samples of SAMPLES whose image is nearly another one."""
    return int(pc.sum(pc.not_equal(samples["near_duplicate_of"], "")).as_py() or 0)


def _example(quarantine: pa.Table, reason: str) -> str:
    row = quarantine.filter(pc.equal(quarantine["reason"], reason)).slice(0, 1).to_pylist()[0]
    where = row["image"] or row["record_id"] or row["source"]
    return f"{where}: {row['detail']}" if row["detail"] else str(where)
