"""What was left out on the way, and why."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.inputs import DropCount
from components.report.number_text import count, quantity


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason: where it applies, how often, and one example."""

    where: str
    reason: str
    count: str
    example: str


@dataclass(frozen=True, slots=True)
class HealthView:
    """The section.

    Attributes:
        quarantined: how many records ingest refused.
        quarantine: reasons, the most frequent first.
        dropped: how many samples later stages left out.
        drops: reasons per stage.
        near_duplicates: samples whose image is nearly another one; empty without any.
    """

    quarantined: str
    quarantine: tuple[ReasonRow, ...]
    dropped: str
    drops: tuple[ReasonRow, ...]
    near_duplicates: str


def health_view(quarantine: pa.Table, drops: tuple[DropCount, ...], samples: pa.Table) -> HealthView:
    """Count reasons."""
    reasons = Counter(quarantine["reason"].to_pylist())
    near = int(pc.sum(pc.not_equal(samples["near_duplicate_of"], "")).as_py() or 0)
    return HealthView(
        quarantined=quantity(quarantine.num_rows, "record"),
        quarantine=tuple(
            ReasonRow("ingest", reason, count(number), _example(quarantine, reason))
            for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ),
        dropped=quantity(sum(drop.count for drop in drops), "sample"),
        drops=tuple(ReasonRow(drop.stage, drop.reason, count(drop.count), "") for drop in drops),
        near_duplicates=quantity(near, "sample has", "samples have") if near else "",
    )


def _example(quarantine: pa.Table, reason: str) -> str:
    row = quarantine.filter(pc.equal(quarantine["reason"], reason)).slice(0, 1).to_pylist()[0]
    where = row["image"] or row["record_id"] or row["source"]
    return f"{where}: {row['detail']}" if row["detail"] else str(where)
